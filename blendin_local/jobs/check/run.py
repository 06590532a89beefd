"""A check from start to end: the files, the answers, the text, the verdicts.

Here: `CheckPlan`, `static_check` and `full_check`.
Not here: each part (`static`, `answers`, `reference`, `verdicts`), progress and reports (`ui`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import exp
from time import monotonic
from typing import Any, Literal, Protocol

from blendin_local.core.methods import Role
from blendin_local.core.prompts import Message
from blendin_local.core.records import Completion
from blendin_local.engine.context import StoppedError
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import BlendinError, ContextFullError
from blendin_local.jobs.check.answers import AnswerFigures, figures_of
from blendin_local.jobs.check.record import Check
from blendin_local.jobs.check.reference import Reader, RoleCalibration, calibrate
from blendin_local.jobs.check.static import examine
from blendin_local.jobs.check.verdicts import file_remarks, judge, remarks
from blendin_local.pair.pair import PairSetup, Request
from blendin_local.settings import CheckSettings

Stage = Literal["answers", "text"]
Listener = Callable[[Stage, int, int], None]
TEMPLATE_PROMPTS = 5  # prompts whose rendered form the guide reads


class Checked(Reader, Protocol):
    """What a check needs of a pair."""

    def answer_all(
        self, requests: Iterable[Request], *, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[Request, Completion | BlendinError]]:
        """Answer requests, in the order of finishing."""
        ...

    def prompt_spans(self, role: Role, messages: Sequence[Message]) -> Sequence[Span]:
        """A role's rendered prompt."""
        ...


@dataclass(frozen=True)
class CheckPlan:
    """What is to be measured.

    Attributes:
        setup: The pair's files and how they are run.
        references: What the user called them.
        pair_name: The pair of models.toml, if one was named.
        requests: The prompts, settings included, with candidates kept.
        passages: The reference text.
        threshold: Below which the base counts as uncertain.
        limits: Where verdicts begin.
        seed: Of the resampling.
    """

    setup: PairSetup
    references: Mapping[Role, str]
    pair_name: str
    requests: Sequence[Request]
    passages: Sequence[str]
    threshold: float
    limits: CheckSettings = field(default_factory=CheckSettings)
    seed: int = 0


def static_check(plan: CheckPlan, should_stop: Callable[[], bool] = lambda: False) -> Check:
    """What the files alone say, no weights loaded; `should_stop` is polled while unknown files are tried."""
    began = monotonic()
    sheet = examine(plan.setup, plan.passages, should_stop)
    verdicts, found = judge(sheet, None, None, plan.limits), file_remarks(sheet)
    return Check(
        plan.references, plan.pair_name, sheet, verdicts=verdicts, remarks=found, seconds=monotonic() - began
    )


def full_check(
    plan: CheckPlan,
    before: Check,
    pair: Checked,
    should_stop: Callable[[], bool] = lambda: False,
    listen: Listener = lambda *_: None,
) -> Check:
    """Go on from a static check: ask the prompts, read the text, judge.

    Args:
        plan: What to measure.
        before: What `static_check` found.
        pair: The open pair.
        should_stop: Polled; what was measured until then is returned as incomplete and without a verdict.
        listen: Is told how far each stage is: stage, done, of how many.
    """
    began = monotonic()
    answers, signature = _answers(plan, pair, should_stop, listen)
    found = replace(before, answers=answers, signature=signature)
    try:
        if should_stop():
            raise StoppedError
        text = calibrate(
            pair,
            plan.passages,
            plan.threshold,
            should_stop=should_stop,
            listen=lambda done: listen("text", done, len(plan.passages)),
        )
        template_p = template_probability(pair, plan.requests[:TEMPLATE_PROMPTS], should_stop)
    except StoppedError:
        return replace(found, complete=False, verdicts=(), seconds=before.seconds + monotonic() - began)
    return replace(
        found,
        template_p=template_p,
        calibration=text,
        verdicts=judge(before.sheet, answers, template_p, plan.limits),
        remarks=(*before.remarks, *remarks(text, plan.limits), *_unread(text)),
        seconds=before.seconds + monotonic() - began,
    )


def _answers(
    plan: CheckPlan, pair: Checked, should_stop: Callable[[], bool], listen: Listener
) -> tuple[AnswerFigures | None, Mapping[str, Any]]:
    """Ask the prompts; answers cut short by a stop are dropped."""
    whole: dict[str, Completion] = {}
    failed: dict[str, str] = {}
    began = monotonic()
    listen("answers", 0, len(plan.requests))
    for request, outcome in pair.answer_all(plan.requests, should_stop=should_stop):
        if isinstance(outcome, BlendinError):
            failed[request.key] = outcome.message
        elif outcome.finish_reason != "cancelled":
            whole[request.key] = outcome
        listen("answers", len(whole) + len(failed), len(plan.requests))
    seconds = monotonic() - began
    ordered = [whole[request.key] for request in plan.requests if request.key in whole]
    if not ordered:
        return None, {}
    figures = figures_of(
        ordered, seconds=seconds, parallel=plan.setup.n_parallel, seed=plan.seed, failed=failed
    )
    return figures, ordered[0].signature


def _unread(text: Mapping[Role, RoleCalibration]) -> tuple[str, ...]:
    return () if text else ("no passage of the reference text fits into the context: raise --ctx-size",)


def template_probability(
    pair: Checked, requests: Sequence[Request], should_stop: Callable[[], bool] = lambda: False
) -> float | None:
    """How likely the guide finds the fixed words after the question in its own prompt.

    exp of the mean log-probability over the last trusted stretch of the prompt, its first token left out:
    that one ends the question, and where a question ends nobody can know. A guide that is prompted as it
    was trained has seen these words thousands of times.

    Returns:
        None where the template puts nothing after the question, or no prompt fits.
    """
    logprobs: list[float] = []
    for request in requests:
        text = "".join(span.text for span in pair.prompt_spans("guide", request.messages))
        question, after, tail = text.rpartition(request.messages[-1].text.strip())
        parts = Span(question + after, trusted=True), Span(tail, trusted=True)
        if not (after and tail):
            continue
        with suppress(ContextFullError):
            head, whole = (
                list(pair.read("guide", parts[:n], temperature_profile=False, should_stop=should_stop))
                for n in (1, 2)
            )
            logprobs += [place.logprob for place in whole[len(head) + 1 :]]
    return exp(sum(logprobs) / len(logprobs)) if logprobs else None
