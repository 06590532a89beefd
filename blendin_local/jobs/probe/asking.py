"""Asking the probe's prompts: of the base alone, of the guide alone, and of a method.

Here: `ProbePlan`, `plan_probe` and `ask`, which answers as a batch does.
Not here: the prompts (`prompts`), what the answers mean (`outcome`), loading models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from time import monotonic
from typing import Any, Protocol

from blendin_local.core.prompts import as_messages
from blendin_local.core.records import Completion
from blendin_local.decode.request import Request
from blendin_local.errors import BlendinError
from blendin_local.jobs.probe.outcome import Entrant, Outcome, outcome_of
from blendin_local.jobs.probe.prompts import PURPOSES, Purpose
from blendin_local.jobs.scoring.items import Item, Verdict
from blendin_local.settings import EVALUATION_SEED as SEED
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings


class AnsweringPair(Protocol):
    """What the probe needs of a pair."""

    def answer_all(
        self, requests: Iterable[Request], *, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[Request, Completion | BlendinError]]:
        """Answer requests, in the order of finishing."""
        ...


@dataclass(frozen=True)
class ProbePlan:
    """Who is asked what.

    Attributes:
        method: Name of the method.
        requests: For each entrant its requests; the method has none where it is one of the models alone.
        prompts: For each request key its purpose and its prompt.
    """

    method: str
    requests: Mapping[Entrant, Sequence[Request]]
    prompts: Mapping[str, tuple[Purpose, Item]]

    @property
    def size(self) -> int:
        """How many answers there will be."""
        return sum(map(len, self.requests.values()))


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """One answer.

    Attributes:
        purpose: What its prompt is about.
        key: Key of the prompt.
        entrant: Who answered.
        text: The answer; empty where it failed.
        scores: What it is worth; empty where it failed.
        failed: Why there is no answer; empty where there is one.
    """

    purpose: Purpose
    key: str
    entrant: Entrant
    text: str
    scores: Mapping[str, float] = field(default_factory=dict)
    failed: str = ""


@dataclass(frozen=True)
class ProbeReport:
    """What the probe found.

    Attributes:
        method: Name of the method.
        outcomes: By purpose; one that cannot be judged, after a stop, is absent.
        seconds: Wall-clock time of each entrant's answers; a method that is one model alone has none.
        intervention_rate: Asked over all steps of the method's answers; None without a step.
        answers: All of them.
        complete: Whether every prompt was answered by all; False where it was stopped.
    """

    method: str
    outcomes: Mapping[Purpose, Outcome]
    seconds: Mapping[Entrant, float]
    intervention_rate: float | None
    answers: tuple[ProbeAnswer, ...]
    complete: bool

    def to_json(self) -> dict[str, Any]:
        """The fields of the records under their own names."""
        return asdict(self)


def plan_probe(
    blend: BlendSettings, sampling: SamplingSettings, answer: AnswerSettings, system: str | None
) -> ProbePlan:
    """All requests of a probe: the settings are the pair's, only lengths are those of the prompts.

    Args:
        blend: The method and its settings; a model alone runs with the defaults.
        sampling: Of all three.
        answer: Stop strings and drafts are kept; a form that answers must have is left out.
        system: The user's system line; None takes that of each purpose.
    """
    blends: dict[Entrant, BlendSettings] = {
        "base": BlendSettings(method="base"),
        "guide": BlendSettings(method="guide"),
    }
    if blend.method not in blends:
        blends["method"] = blend
    free = replace(answer, json_schema=None, regex=None, grammar=None, top_logprobs=0)
    requests: dict[Entrant, list[Request]] = {entrant: [] for entrant in blends}
    prompts: dict[str, tuple[Purpose, Item]] = {}
    for purpose, benchmark in PURPOSES.items():
        limits = replace(free, max_tokens=benchmark.max_tokens)
        line = benchmark.system if system is None else system
        for item in benchmark.load():
            prompts[item.key] = purpose, item
            for entrant, own in blends.items():
                asked = Request(item.key, as_messages(item.prompt, line), own, sampling, limits)
                requests[entrant].append(asked)
    return ProbePlan(blend.method, requests, prompts)


def ask(
    plan: ProbePlan,
    pair: AnsweringPair,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    on_answer: Callable[[int], None] = lambda _: None,
    seed: int = SEED,
) -> ProbeReport:
    """Ask each entrant all prompts, as one batch, and compare.

    Args:
        plan: What is asked.
        pair: The open pair.
        should_stop: Polled; answers cut short by a stop are dropped, and the report is not complete.
        on_answer: Called after each answer with how many there are.
        seed: Of the bootstrap.
    """
    answers: list[ProbeAnswer] = []
    seconds: dict[Entrant, float] = {}
    steps = asked = 0
    for entrant, requests in plan.requests.items():
        began = monotonic()
        for request, outcome in pair.answer_all(requests, should_stop=should_stop):
            if isinstance(outcome, BlendinError):
                purpose, item = plan.prompts[request.key]
                answers.append(ProbeAnswer(purpose, item.key, entrant, "", failed=outcome.message))
            elif outcome.finish_reason != "cancelled":
                answers.append(_scored(plan, entrant, request.key, outcome))
                if entrant == "method":
                    steps, asked = steps + outcome.blend.steps, asked + outcome.blend.asked
            on_answer(len(answers))
        seconds[entrant] = monotonic() - began
        if should_stop():
            break
    return ProbeReport(
        method=plan.method,
        outcomes=outcomes_of(plan.method, answers, seed),
        seconds=seconds,
        intervention_rate=asked / steps if steps else None,
        answers=tuple(answers),
        complete=len(answers) == plan.size,
    )


def _scored(plan: ProbePlan, entrant: Entrant, key: str, outcome: Completion) -> ProbeAnswer:
    purpose, item = plan.prompts[key]
    verdict = PURPOSES[purpose].score(item, outcome.text)
    return ProbeAnswer(purpose, item.key, entrant, outcome.text, dict(verdict.scores))


def outcomes_of(method: str, answers: Sequence[ProbeAnswer], seed: int = SEED) -> dict[Purpose, Outcome]:
    """What answers show for each purpose.

    Args:
        method: Name of the method; one that is a model alone has that model's answers.
        answers: Of all entrants.
        seed: Of the bootstrap.
    """
    source: dict[Entrant, str] = {"base": "base", "guide": "guide", "method": "method"}
    if method in source:
        source["method"] = method
    found = {}
    for purpose, benchmark in PURPOSES.items():
        own = [answer for answer in answers if answer.purpose == purpose]
        verdicts = {
            entrant: {each.key: Verdict(each.scores, None) for each in own if each.entrant == of}
            for entrant, of in source.items()
        }
        outcome = outcome_of(benchmark, verdicts, seed)
        if outcome is not None:
            found[purpose] = outcome
    return found
