"""The measurements of a check, in order: the files, the answers, the probe, the reference text, the verdicts.

Here: `ResolvedCheck`, `describe_files` and `measure`.
Not here: how a spec becomes these inputs (`job`); each part (`description`, `answers`, `calibration`,
`verdicts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Literal, Protocol

from blendin_local.core.methods import Role
from blendin_local.core.records import Completion
from blendin_local.engine.context import StoppedError
from blendin_local.errors import BlendinError
from blendin_local.jobs.check.answers import AnswerStatistics, answer_statistics
from blendin_local.jobs.check.built_in_texts import one_word_answers
from blendin_local.jobs.check.calibration import RoleCalibration, TextReader, calibrate
from blendin_local.jobs.check.description import describe_pair
from blendin_local.jobs.check.hit_rates import shipped_hit_rates
from blendin_local.jobs.check.probe_verdicts import probe_verdicts
from blendin_local.jobs.check.report import CheckReport
from blendin_local.jobs.check.template_fit import AnswerScorer, end_probability
from blendin_local.jobs.check.verdicts import file_remarks, judge, remarks, signals
from blendin_local.jobs.probe.asking import ProbePlan, ProbeReport, ask
from blendin_local.pair.pair import PairSetup, Request
from blendin_local.settings import CheckSettings

Stage = Literal["answers", "probe", "text"]


@dataclass(frozen=True)
class CheckProgress:
    """How far a check is.

    Attributes:
        stage: `answers`: prompts are answered; `probe`: the probe's; `text`: the reference text is read.
        done: Answers or passages that are done.
        total: How many there are.
    """

    stage: Stage
    done: int
    total: int


OnProgress = Callable[[CheckProgress], None]


class AnsweringPair(TextReader, AnswerScorer, Protocol):
    """What a check needs of a pair."""

    def answer_all(
        self, requests: Iterable[Request], *, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[Request, Completion | BlendinError]]:
        """Answer requests, in the order of finishing."""
        ...


@dataclass(frozen=True)
class ResolvedCheck:
    """What is measured.

    Attributes:
        setup: The pair's files and how they are run.
        references: What the user called them.
        pair_name: The pair of models.toml, if one was named.
        requests: The prompts with their settings; candidates are kept.
        passages: The reference text.
        threshold: Below which the base counts as uncertain.
        limits: Where verdicts begin.
        seed: Of the resampling.
        probe: What the probe asks; None leaves it out.
    """

    setup: PairSetup
    references: Mapping[Role, str]
    pair_name: str
    requests: Sequence[Request]
    passages: Sequence[str]
    threshold: float
    limits: CheckSettings = field(default_factory=CheckSettings)
    seed: int = 0
    probe: ProbePlan | None = None


def describe_files(check: ResolvedCheck, should_stop: Callable[[], bool] = lambda: False) -> CheckReport:
    """The description from the files alone; `should_stop` is polled during trial loads of unknown files."""
    began = monotonic()
    description = describe_pair(check.setup, check.passages, should_stop)
    return CheckReport(
        check.references,
        check.pair_name,
        description,
        verdicts=judge(description, None, None, check.limits),
        remarks=file_remarks(description),
        seconds=monotonic() - began,
    )


def measure(
    check: ResolvedCheck,
    before: CheckReport,
    pair: AnsweringPair,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = lambda _: None,
) -> CheckReport:
    """Continue after the description of the files: answer the prompts, probe, score the text, judge.

    Args:
        check: What to measure.
        before: What `describe_files` found.
        pair: The open pair.
        should_stop: Polled; what was measured until then is returned as incomplete and without a verdict.
        on_progress: Called after each answer and each passage.
    """
    began = monotonic()
    answers, signature = _answers(check, pair, should_stop, on_progress)
    probe = None if should_stop() else _probe(check, pair, should_stop, on_progress)
    found = replace(before, answers=answers, signature=signature, probe=probe)
    try:
        if should_stop():
            raise StoppedError
        calibration = calibrate(
            pair,
            check.passages,
            check.threshold,
            should_stop=should_stop,
            on_passage=lambda done: on_progress(CheckProgress("text", done, len(check.passages))),
        )
        aloud = check.setup.thinking and before.description.models["guide"].thinks  # no answer comes first
        end_p = None if aloud else end_probability(pair, one_word_answers(), should_stop)
    except StoppedError:
        return replace(found, complete=False, verdicts=(), seconds=before.seconds + monotonic() - began)
    hit_rates = shipped_hit_rates()
    return replace(
        found,
        end_p=end_p,
        calibration=calibration,
        verdicts=(
            *(probe_verdicts(probe, hit_rates) if probe else ()),
            *judge(before.description, answers, end_p, check.limits),
        ),
        signals=signals(answers, check.limits, hit_rates),
        remarks=(*before.remarks, *remarks(calibration, check.limits), *_unread(calibration)),
        seconds=before.seconds + monotonic() - began,
    )


def _answers(
    check: ResolvedCheck, pair: AnsweringPair, should_stop: Callable[[], bool], on_progress: OnProgress
) -> tuple[AnswerStatistics | None, Mapping[str, Any]]:
    """Ask the prompts; answers cut short by a stop are dropped."""
    whole: dict[str, Completion] = {}
    failed: dict[str, str] = {}
    began = monotonic()
    on_progress(CheckProgress("answers", 0, len(check.requests)))
    for request, outcome in pair.answer_all(check.requests, should_stop=should_stop):
        if isinstance(outcome, BlendinError):
            failed[request.key] = outcome.message
        elif outcome.finish_reason != "cancelled":
            whole[request.key] = outcome
        on_progress(CheckProgress("answers", len(whole) + len(failed), len(check.requests)))
    seconds = monotonic() - began
    ordered = [whole[request.key] for request in check.requests if request.key in whole]
    if not ordered:
        return None, {}
    statistics = answer_statistics(
        ordered, seconds=seconds, parallel=check.setup.n_parallel, seed=check.seed, failed=failed
    )
    return statistics, ordered[0].signature


def _probe(
    check: ResolvedCheck, pair: AnsweringPair, should_stop: Callable[[], bool], on_progress: OnProgress
) -> ProbeReport | None:
    plan = check.probe
    if plan is None:
        return None
    on_progress(CheckProgress("probe", 0, plan.size))
    return ask(
        plan,
        pair,
        should_stop=should_stop,
        on_answer=lambda done: on_progress(CheckProgress("probe", done, plan.size)),
        seed=check.seed,
    )


def _unread(calibration: Mapping[Role, RoleCalibration]) -> tuple[str, ...]:
    return (
        () if calibration else ("no passage of the reference text fits into the context: raise --ctx-size",)
    )
