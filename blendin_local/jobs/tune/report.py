"""The results of the trials: each one against the defaults, and which settings to keep.

Here: `judge`; `TuneReport` with its JSON and its summary; `keep_settings`, which writes the chosen settings
into the user's models.toml.
Not here: trials (`trials`), intervals (`jobs.evaluation`), the table (`views.tune`).

The defaults (of a search for scale and layers: the unsteered base) stay unless another setting is better
beyond noise: the interval of the paired difference lies above 0, and it does so after a correction for the
number of settings compared (Bonferroni: p times their number below 0.05), because among many equal settings
one always comes out best.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from blendin_local.core.methods import STEERED
from blendin_local.core.percent import percent
from blendin_local.core.roles import GUIDES, Role
from blendin_local.errors import UsageError
from blendin_local.jobs.scoring.figures import compare
from blendin_local.jobs.scoring.items import Benchmark
from blendin_local.jobs.scoring.statistics import Group, PairedDifference, group_difference
from blendin_local.jobs.tune.search import nearest_to_rate
from blendin_local.jobs.tune.setting import UNSTEERED, TrialSetting
from blendin_local.jobs.tune.trials import Trial
from blendin_local.models.config_file import write_pair
from blendin_local.models.registry import user_file
from blendin_local.settings import BlendSettings

SIGNIFICANCE = 0.05
Conclusion = Literal["default is best", "within noise", "better"]


@dataclass(frozen=True)
class TuneReport:
    """All trials and what follows from them.

    Attributes:
        benchmark: What they were tried on.
        trials: Every trial in order, the defaults or the unsteered base first.
        best: The one with the highest score, the earliest among equals.
        best_minus_default: How much `best` scored above the first trial.
        conclusion: What that means.
        chosen: The settings to keep.
        target_rate: The intervention rate that was asked for, if any.
        finished: Whether every trial was run; False if the search was stopped.
        notes: What was left out.
        references: What the user calls the models, by role, also those that were not asked.
        base_template: What the base's template was called, empty for that of its entry.
        pair_name: The pair of models.toml, empty if two models were named.
        purpose: Of the program's own prompts, if these were used; empty for the user's questions.
    """

    benchmark: Benchmark
    trials: Sequence[Trial]
    best: Trial
    best_minus_default: PairedDifference
    conclusion: Conclusion
    chosen: Trial
    target_rate: float | None = None
    finished: bool = True
    notes: tuple[str, ...] = ()
    references: Mapping[Role, str] = field(default_factory=dict)
    base_template: str = ""
    pair_name: str = ""
    purpose: str = ""

    @property
    def default(self) -> Trial:
        """The paper's defaults, or the unsteered base."""
        return self.trials[0]

    @property
    def of_steering(self) -> bool:
        """Whether scale and layers of a control vector were searched for."""
        return self.default.setting.of_steering

    @property
    def default_name(self) -> str:
        """What sentences call the first trial."""
        return UNSTEERED if self.of_steering else "the defaults"

    @property
    def corrected_p(self) -> float:
        """The p-value of the best against the defaults, times the number of settings compared."""
        return corrected(self.best_minus_default.p, len(self.trials) - 1)

    @property
    def asked_on(self) -> str:
        """Which questions, whose they are, and how many."""
        n = len(self.default.verdicts)
        if not self.purpose:
            return f"{self.benchmark.title}: {_count(n, 'question')}"
        return f"{_count(n, 'prompt')} on {self.purpose} from blendin-local, not your own"

    @property
    def caution(self) -> str:
        """What so few prompts can show; empty where the questions are the user's, or trials are missing."""
        if not (self.purpose and self.finished):
            return ""
        n, comparisons = len(self.default.verdicts), len(self.trials) - 1
        least = least_gain(n, comparisons)
        shown = "cannot be told from chance"
        if least is not None:
            shown = f"must be right on at least {least} more than {self.default_name} to be told from chance"
        return (
            f"With {_count(n, 'prompt')} and {_count(comparisons, 'comparison')}, a setting {shown}. "
            "What is best for your own questions may differ: --data takes them."
        )

    def difference(self, trial: Trial, other: Trial) -> PairedDifference:
        """How much a trial scored above another, question by question."""
        return _difference(self.benchmark, trial, other)

    @property
    def summary(self) -> str:
        """What the trials mean and which settings to use, in a few sentences."""
        if not self.finished:
            return f"Not finished: {_count(len(self.trials), 'trial')} so far."
        if self.chosen.setting.is_unsteered:
            return f"{self._comparison()} Leave it unsteered."
        use = f"Use {self.chosen.name}"
        if self.target_rate is not None:
            reached, target = percent(self.chosen.intervention_rate), percent(self.target_rate)
            use += f": it asked the guide at {reached} of the steps; the target is {target}"
        return f"{self._comparison()} {use}."

    def _comparison(self) -> str:
        if self.conclusion == "default is best":
            return f"No setting scored higher than {self.default_name}."
        gain = self.best_minus_default
        scored = f"{self.best.name} scored {interval_text(gain)} relative to {self.default_name}"
        comparisons = _count(len(self.trials) - 1, "comparison")
        p = f"p {_p_text(gain.p)}; {_p_text(self.corrected_p)} corrected for {comparisons}"
        if self.conclusion == "within noise":
            kept = "" if self.of_steering else " The defaults are kept."
            return f"Within noise: {scored} ({p}), which may be chance.{kept}"
        return f"Better than {self.default_name}: {scored} ({p})."

    def to_json(self) -> dict[str, Any]:
        """The object of `blendin tune --json`, and of report.json."""
        return {
            "method": STEERED if self.of_steering else "blendin",
            **({"control_vector": self._vector_name()} if self.of_steering else {}),
            "data": self.benchmark.name,
            "purpose": self.purpose or None,
            "asked_on": self.asked_on,
            "caution": self.caution or None,
            "questions": len(self.default.verdicts),
            "metric": self.benchmark.main_figure,
            "finished": self.finished,
            "trials": [self._trial_to_json(trial) for trial in self.trials],
            "best": self.best.setting.values,
            "best_minus_default": asdict(self.best_minus_default),
            "comparisons": len(self.trials) - 1,
            "corrected_p": self.corrected_p,
            "conclusion": self.conclusion,
            "target_rate": self.target_rate,
            "notes": list(self.notes),
            "chosen": {**self.chosen.setting.values, **self._rate(self.chosen)},
        }

    def _vector_name(self) -> str | None:
        """The file that was tried; None where the search was stopped before."""
        return next((each.setting.vector.path.name for each in self.trials if each.setting.vector), None)

    def _rate(self, trial: Trial) -> dict[str, float | None]:
        """How often steering or guiding happened."""
        if self.of_steering:
            return {"gate_open": trial.gate_open}
        return {"intervention_rate": trial.intervention_rate}

    def _trial_to_json(self, trial: Trial) -> dict[str, Any]:
        counts = trial.counts
        return {
            **trial.setting.values,
            "score": asdict(trial.score),
            "minus_default": asdict(self.difference(trial, self.default)),
            "minus_best": asdict(self.difference(trial, self.best)),
            "steps": counts.steps,
            "asked": counts.asked,
            "changed": counts.changed,
            "intervention_rate": counts.intervention_rate,
            "changed_rate": counts.changed_rate,
            **({"gate_open": trial.gate_open} if self.of_steering else {}),
            "failed": trial.failed,
            "answers": trial.answers.name,
        }


def judge(
    benchmark: Benchmark,
    tried: Mapping[TrialSetting, Trial],
    target_rate: float | None = None,
    *,
    finished: bool = True,
    notes: tuple[str, ...] = (),
) -> TuneReport:
    """Say which settings to keep.

    Args:
        benchmark: What they were tried on.
        tried: Every trial, the defaults or the unsteered base first.
        target_rate: The intervention rate to reach: of the chosen alpha's trials the nearest one is kept.
        finished: Whether every trial was run.
        notes: What was left out.
    """
    trials = list(tried.values())
    best = max(trials, key=lambda trial: trial.score_value)
    report = TuneReport(
        benchmark,
        trials,
        best,
        _difference(benchmark, best, trials[0]),
        "default is best",
        trials[0],
        finished=finished,
        notes=notes,
    )
    if best is trials[0]:
        conclusion: Conclusion = "default is best"
    elif is_beyond_noise(report.best_minus_default, len(trials) - 1):
        conclusion = "better"
    else:
        conclusion = "within noise"
    chosen = best if conclusion == "better" else trials[0]
    if target_rate is not None:
        but_threshold = chosen.setting.with_blend(threshold=0)
        alike = {s: trial for s, trial in tried.items() if s.with_blend(threshold=0) == but_threshold}
        chosen = tried[nearest_to_rate(alike, target_rate)]
    return replace(report, conclusion=conclusion, chosen=chosen, target_rate=target_rate)


def corrected(p: float, comparisons: int) -> float:
    """Bonferroni: p times the number of comparisons, at most 1."""
    return min(1.0, p * max(1, comparisons))


def is_beyond_noise(difference: PairedDifference, comparisons: int) -> bool:
    """Whether the best of several settings is better than the defaults, not just luckier."""
    return difference.low > 0 and corrected(difference.p, comparisons) < SIGNIFICANCE


def least_gain(n: int, comparisons: int) -> int | None:
    """The fewest of n questions that a setting must gain, losing none, to be better beyond noise.

    Each question is right or wrong, and all count alike. None where even all n would not do.
    """
    gains = (np.arange(n) < gained for gained in range(1, n + 1))
    for gained, gain in enumerate(gains, 1):
        if is_beyond_noise(group_difference([Group.of(gain)], bounded=True), comparisons):
            return gained
    return None


def _difference(benchmark: Benchmark, trial: Trial, other: Trial) -> PairedDifference:
    comparison = compare(benchmark, benchmark.main_figure, trial.verdicts, other.verdicts)
    assert comparison is not None, "a trial without a main figure is refused when it is scored"
    return comparison.difference


def keep_settings(report: TuneReport, name: str = "", path: Path | None = None) -> Path | None:
    """Write the chosen settings into a pair of models.toml, with what they rest on as a comment.

    Args:
        report: A finished search.
        name: The pair; empty for the one that was tuned. A pair of another name gets its models too.
        path: The file; None for the user's own.

    Returns:
        The file; None if the base is best left unsteered: nothing is written then.

    Raises:
        UsageError: The pair has no name or no guide, or the file cannot be extended.
        WriteError: The disk refuses.
    """
    name = name or report.pair_name
    if not name:
        raise UsageError("two models without a name cannot be written", "give the pair one with --name")
    setting = report.chosen.setting
    if setting.is_unsteered:
        return None
    path = path or user_file()
    models = {} if name == report.pair_name else _models(report, setting.blend)
    write_pair(path, name, {**setting.keys, **models}, _evidence(report))
    return path


def require_guide(references: Collection[str]) -> None:
    """Raise `UsageError` where a pair that is to be written would have no guide."""
    if "guide" not in references:
        raise UsageError(
            "a pair in models.toml has a guide, too", "name one with --guide: method steer does not ask it"
        )


def _models(report: TuneReport, blend: BlendSettings) -> dict[str, Any]:
    """The models as keys of models.toml; several guides are a list, with their weights."""
    references = report.references
    require_guide(references)
    template = {"base_template": report.base_template} if report.base_template else {}
    guides = [references[role] for role in GUIDES if role in references]
    models: dict[str, Any] = {role: name for role, name in references.items() if role not in GUIDES}
    models |= template
    if len(guides) < 2:
        return {**models, "guide": guides[0]}
    weights = {"guide_weight": list(blend.guide_weight)} if blend.guide_weight else {}
    return {**models, "guide": guides, **weights}


def _evidence(report: TuneReport) -> list[str]:
    """What the choice rests on, for the comment beside it."""
    chosen, default, score = report.chosen, report.default, report.chosen.score
    gain = report.difference(chosen, default)
    happened = f"guide asked at {percent(chosen.intervention_rate)}"
    if chosen.gate_open is not None:
        happened = f"gate open at {percent(chosen.gate_open)} of the prompts"
    lines = [
        f"blendin tune on {_data(report)}, {_count(len(report.trials), 'setting')} tried",
        f"{report.benchmark.main_figure} {score.value:.3f} [{score.low:.3f}, {score.high:.3f}], {happened}",
    ]
    if chosen is not default:
        lines.append(
            f"{report.default_name.removeprefix('the ')} {default.score_value:.3f},"
            f" difference {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        )
    return [*lines, report.summary, *filter(None, [report.caution])]


def _data(report: TuneReport) -> str:
    """The questions, for a comment that others may read."""
    n = len(report.default.verdicts)
    if report.purpose:
        return f"{_count(n, 'prompt')} on {report.purpose} from blendin-local, not the user's"
    return f"{report.benchmark.name}, {_count(n, 'question')}"


def interval_text(difference: PairedDifference) -> str:
    """`+0.12 (+0.03 +0.21)`."""
    return f"{difference.value:+.2f} ({difference.low:+.2f} {difference.high:+.2f})"


def _p_text(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
