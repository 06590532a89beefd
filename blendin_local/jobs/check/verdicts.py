"""What the figures of a check mean, in words and with their reasons.

Here: `CheckVerdict`; `judge` and `signals`, pure functions from figures measured without reference answers.
Not here: what the probe saw (`probe_verdicts`), the figures (`jobs.check.answers`, `jobs.check.calibration`),
thresholds (`settings.CheckSettings`).
Source: the paper's warning sign is an intervention rate above 20 % (section 3.2). It and the other signals
foretell; how often they were right is said beside them where that was counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from blendin_local.core.methods import Role
from blendin_local.core.percent import percent, percent_interval
from blendin_local.jobs.check.answers import AnswerStatistics, Rate
from blendin_local.jobs.check.calibration import RoleCalibration
from blendin_local.jobs.check.description import OWN_TEMPLATES, PairDescription
from blendin_local.jobs.check.hit_rates import HitRate, HitRates
from blendin_local.jobs.probe.prompts import Purpose
from blendin_local.settings import CheckSettings

VerdictName = Literal[
    "pays", "hurts", "no difference seen",
    "template suspect",
    "over-intervening", "guide alone is as good", "base alone is as good",
]  # fmt: skip
FEW_ENDS = 8  # answers from which a guide that ends none of them is remarkable


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """One finding.

    Attributes:
        name: Which.
        reasons: Sentences with the numbers behind it.
        advice: What to do.
        purpose: What it is about, if not about everything: `safety` or `instructions`.
    """

    name: VerdictName
    reasons: tuple[str, ...]
    advice: str = ""
    purpose: Purpose | Literal[""] = ""


def judge(
    description: PairDescription,
    answers: AnswerStatistics | None,
    end_p: float | None,
    limits: CheckSettings,
) -> tuple[CheckVerdict, ...]:
    """What is wrong with the pair, whatever it is used for.

    Args:
        description: The pair as described by its files.
        answers: Statistics of the answers; None if none were made.
        end_p: See `CheckSettings.end_p`; None if it was not measured.
        limits: Where each verdict begins.
    """
    return tuple(_template(description, answers, end_p, limits))


def signals(
    answers: AnswerStatistics | None, limits: CheckSettings, hit_rates: HitRates
) -> tuple[CheckVerdict, ...]:
    """Signals that guiding may not pay, all that hold.

    Args:
        answers: Statistics of the answers; None if none were made.
        limits: Where each signal begins.
        hit_rates: How often each was right.
    """
    if answers is None or not answers.steps:
        return ()
    found = (*_excess(answers, limits), *_alone(answers, limits))
    return tuple(
        replace(signal, reasons=(*signal.reasons, *hit_rate_reasons(hit_rates.get(signal.name, {}))))
        for signal in found
    )


def hit_rate_reasons(hit_rates: Mapping[str, HitRate]) -> Iterator[str]:
    """A sentence on how often something was right, by purpose; none where nothing was counted."""
    counted = [
        f"for {purpose} on {rate.right} of {rate.right + rate.wrong}" for purpose, rate in hit_rates.items()
    ]
    if counted:
        yield f"of the pairs that were evaluated, this was right {' and '.join(counted)}"


def _template(
    description: PairDescription,
    answers: AnswerStatistics | None,
    end_p: float | None,
    limits: CheckSettings,
) -> Iterator[CheckVerdict]:
    """The guide is not prompted as it was trained."""
    reasons = []
    if not description.models["guide"].template:
        file = description.models["guide"].file
        reasons.append(f"the guide's file {file} has no chat template: it may not be an instruct model")
    if end_p is not None and end_p < limits.end_p:
        reasons.append(
            f"after one-word answers the guide ends its turn with a mean probability of {end_p:.3f}, "
            f"less than {limits.end_p:g}; prompted as it was trained, it would know where an answer ends"
        )
    if answers is not None:
        ended = answers.ended_by
        runaway = ended.get("repetition", 0) + ended.get("stop_string", 0)
        many = answers.prompts >= FEW_ENDS and runaway >= limits.runaway_share * answers.prompts
        if many and not ended.get("guide_end"):
            reasons.append(
                f"the guide ended none of {answers.prompts} answers, and {runaway} of them repeated "
                "themselves or ran into a stop string"
            )
    if reasons:
        yield CheckVerdict(
            "template suspect",
            tuple(reasons),
            "use an instruct model as the guide, or give its template with --guide-chat-template-file",
        )


def _excess(answers: AnswerStatistics, limits: CheckSettings) -> Iterator[CheckVerdict]:
    """The paper's warning sign."""
    rate = answers.intervention_rate
    if rate.value <= limits.excessive_rate:
        return
    reasons = [
        f"the guide was asked at {spoken(rate)} of the steps, more than {percent(limits.excessive_rate, 0)}; "
        "the paper finds that guidance tends to hurt there"
    ]
    if rate.low <= limits.excessive_rate:
        reasons.append("the interval reaches below the limit: more prompts would tell")
    yield CheckVerdict(
        "over-intervening",
        tuple(reasons),
        "where guiding does not pay, lower --threshold or take another guide",
    )


def _alone(answers: AnswerStatistics, limits: CheckSettings) -> Iterator[CheckVerdict]:
    """One model decides nearly everything, so the other is carried along for nothing."""
    changed, rate, ranks = answers.changed_rate, answers.intervention_rate, answers.ranks
    if changed.value <= limits.idle_changed_rate:
        yield CheckVerdict(
            "base alone is as good",
            (f"guidance changed {spoken(changed)} of the steps: the base alone says nearly the same",),
            "use --method base, or raise --threshold",
        )
    if ranks is None or rate.value < limits.guide_asked_rate or ranks.agree == 1:
        return
    if ranks.guide_wins >= limits.guide_wins:
        yield CheckVerdict(
            "guide alone is as good",
            (
                f"the guide was asked at {spoken(rate)} of the steps",
                f"where the models differed, its choice was taken {percent(ranks.guide_wins)} of the time",
            ),
            "use --method guide: it is faster and says nearly the same",
        )


def file_remarks(description: PairDescription) -> tuple[str, ...]:
    """What the files alone make worth a sentence."""
    base = description.models["base"]
    if not base.has_chat_template:
        return ()
    remark = "the base's file has a chat template: it may be aligned already, and leave a guide little to add"
    own = base.template in OWN_TEMPLATES
    return (remark if own else f"{remark}; --base-template chat prompts it with that template",)


def remarks(calibration: Mapping[Role, RoleCalibration], limits: CheckSettings) -> tuple[str, ...]:
    """Sentences about confidence that cannot be trusted where it matters: at uncertain positions."""
    return tuple(
        sentence for role, found in calibration.items() for sentence in _confidence(role, found, limits)
    )


def _confidence(role: Role, found: RoleCalibration, limits: CheckSettings) -> Iterator[str]:
    fit, uncertain = found.fit, found.uncertain
    if fit.at_edge:
        yield f"the {role}'s temperature lies outside the range that was searched; it is not to be trusted"
    elif uncertain is not None and uncertain.error - uncertain.chance > limits.calibration_gap:
        tendency = "too sure of itself" if uncertain.confidence > uncertain.accuracy else "not sure enough"
        sure, right = percent(uncertain.confidence), percent(uncertain.accuracy)
        yield (
            f"where the base is uncertain the {role} is {tendency}: {sure} sure on average, right {right} of "
            f"the time (calibration error {uncertain.error:.3f}, "
            f"of which {uncertain.chance:.3f} may be chance; "
            f"{uncertain.error_tempered:.3f} at the fitted temperature)"
        )


def spoken(rate: Rate) -> str:
    """A share with its interval, for a sentence."""
    return percent_interval(rate.value, rate.low, rate.high)
