"""Trials on a scripted pair: right by its settings, confident by a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from blendin_local.core.records import Candidate, Completion, Step
from blendin_local.errors import BlendinError, ContextFullError
from blendin_local.jobs.request_values import RequestDefaults
from blendin_local.jobs.tune.search import Search
from blendin_local.jobs.tune.setting import TrialSetting
from blendin_local.jobs.tune.trials import Provenance, Trial, TrialRunner, run_search
from blendin_local.jobs.tune.user_dataset import user_dataset
from blendin_local.pair.pair import Request
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from tests.answers import completion

STEPS = 20
Right = Callable[[BlendSettings, int], bool]


@dataclass
class SettledAnswers:
    """Answers question `Q7` with `7` where it is right at these settings, else with `-1`.

    Attributes:
        right: Whether an answer is right.
        stop_after: Answers after which somebody asks it to stop.
        seen: Every question with its settings.
    """

    right: Right
    stop_after: int | None = None
    seen: list[tuple[str, BlendSettings]] = field(default_factory=list)

    def answer_all(
        self,
        requests: Iterable[Request],
        *,
        should_stop: Callable[[], bool] = lambda: False,
        watch: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[Request, Completion | BlendinError]]:
        for request in requests:
            if should_stop() or self.stopped:
                yield request, completion(stopped_by="user")
                return
            self.seen.append((request.key, request.blend))
            yield request, self._answer(request)

    @property
    def tokens_evaluated(self) -> int:
        return STEPS * len(self.seen)

    @property
    def stopped(self) -> bool:
        return self.stop_after is not None and len(self.seen) >= self.stop_after

    def _answer(self, request: Request) -> Completion | BlendinError:
        number = int(request.messages[-1].text[1:])
        if number == 13:
            return ContextFullError(n_prompt=9, n_ctx=8, role="base")
        said = number if self.right(request.blend, number) else -1
        draw = random.Random(number)
        made = completion(
            *(_step(i, draw.random(), request.blend.threshold) for i in range(STEPS)), text=f"{said}"
        )
        judged = {"steering": {"open": number % 2 == 0}} if request.blend.method == "steer" else {}
        return replace(made, signature=judged)


def _step(i: int, certainty: float, threshold: float) -> Step:
    source = "changed" if certainty < threshold else "base"
    return Step(i, b"w", source, base_top=Candidate(b"w", certainty))  # type: ignore[arg-type]


@dataclass(frozen=True)
class ScriptedOutcome:
    """What a trial comes to."""

    score_value: float
    intervention_rate: float = 0.0
    top1_probs: tuple[float, ...] = ()


def searched(search: Search, outcome_of: Callable[[TrialSetting], ScriptedOutcome]) -> list[TrialSetting]:
    """Every setting that a search asks for, each answered by `outcome_of`."""
    asked_for = []
    try:
        wanted = next(search)
        while True:
            asked_for.append(wanted)
            wanted = search.send(outcome_of(wanted))
    except StopIteration:
        return asked_for


def questions(folder: Path, n: int) -> Path:
    path = folder / "questions.jsonl"
    rows = [{"id": f"q{i}", "prompt": f"Q{i}", "answer": i} for i in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def trial_runner(folder: Path, n: int = 60) -> TrialRunner:
    """Trials on `n` questions in `folder`/trials."""
    path = questions(folder, n)
    benchmark = user_dataset(path)
    defaults = RequestDefaults(BlendSettings(), SamplingSettings(), AnswerSettings(max_tokens=STEPS))
    provenance = Provenance(
        {}, lambda _, own: {"threshold": own.blend.threshold, "alpha": own.blend.alpha_name}, {}
    )
    return TrialRunner(folder / "trials", benchmark, benchmark.load(path.parent), defaults, provenance)


def tried(
    on: TrialRunner, pair: SettledAnswers, *searches: Search, into: dict[TrialSetting, Trial] | None = None
) -> dict[TrialSetting, Trial]:
    """Run the searches; a pair that is stopped stops them."""
    found = {} if into is None else into
    run_search(searches, lambda setting: on.run(setting, lambda: pair, lambda: pair.stopped), found)
    return found
