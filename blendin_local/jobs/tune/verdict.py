"""What the trials say: every one against the defaults, and which settings to keep.

Here: `judge` and `TuneReport` with its JSON.
Not here: trials (`trials`), intervals (`jobs.evaluation`), how it looks (`views.tune`).

The defaults stay unless another setting is better beyond noise: the interval of the paired difference lies
above 0, and so it does after allowing for how many settings were compared (Bonferroni: p times their number
below 0.05), for among many equals one always comes out best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from blendin_local.jobs.evaluation.dataset.items import Benchmark
from blendin_local.jobs.evaluation.score.figures import compare
from blendin_local.jobs.evaluation.score.statistics import PairedDifference
from blendin_local.jobs.tune.search import nearest
from blendin_local.jobs.tune.trials import Trial
from blendin_local.settings import BlendSettings

SIGNIFICANCE = 0.05
Conclusion = Literal["default is best", "within noise", "better"]


@dataclass(frozen=True)
class TuneReport:
    """All trials and what follows from them.

    Attributes:
        benchmark: What they were tried on.
        trials: Every trial in order, the defaults first.
        best: The one with the highest score, the earliest among equals.
        over_default: How far `best` lies above the defaults.
        conclusion: What that means.
        chosen: The settings to keep.
        target_rate: The wanted intervention rate, if there was one.
        finished: Whether every trial was run.
        notes: What was left out.
    """

    benchmark: Benchmark
    trials: Sequence[Trial]
    best: Trial
    over_default: PairedDifference
    conclusion: Conclusion
    chosen: Trial
    target_rate: float | None = None
    finished: bool = True
    notes: tuple[str, ...] = ()

    @property
    def default(self) -> Trial:
        """The paper's defaults."""
        return self.trials[0]

    @property
    def corrected_p(self) -> float:
        """The p-value of the best against the defaults, times the number of settings compared with them."""
        return min(1.0, self.over_default.p * max(1, len(self.trials) - 1))

    def difference(self, trial: Trial, other: Trial) -> PairedDifference:
        """How far a trial lies above another, question by question."""
        return _difference(self.benchmark, trial, other)

    def to_json(self) -> dict[str, Any]:
        """The object of `blendin tune --json`, and of report.json."""
        return {
            "data": self.benchmark.name,
            "questions": len(self.default.verdicts),
            "metric": self.benchmark.main_figure,
            "finished": self.finished,
            "trials": [self._trial_to_json(trial) for trial in self.trials],
            "best": _settings(self.best),
            "best_minus_default": asdict(self.over_default),
            "comparisons": len(self.trials) - 1,
            "corrected_p": self.corrected_p,
            "conclusion": self.conclusion,
            "target_rate": self.target_rate,
            "notes": list(self.notes),
            "chosen": {**_settings(self.chosen), "intervention_rate": self.chosen.intervention_rate},
        }

    def _trial_to_json(self, trial: Trial) -> dict[str, Any]:
        counts = trial.counts
        return {
            **_settings(trial),
            "score": asdict(trial.score),
            "minus_default": asdict(self.difference(trial, self.default)),
            "minus_best": asdict(self.difference(trial, self.best)),
            "steps": counts.steps,
            "asked": counts.asked,
            "changed": counts.changed,
            "intervention_rate": counts.intervention_rate,
            "changed_rate": counts.changed_rate,
            "failed": trial.failed,
            "answers": trial.answers.name,
        }


def judge(
    benchmark: Benchmark,
    tried: Mapping[BlendSettings, Trial],
    target_rate: float | None = None,
    *,
    finished: bool = True,
    notes: tuple[str, ...] = (),
) -> TuneReport:
    """Say which settings to keep.

    Args:
        benchmark: What they were tried on.
        tried: Every trial, the defaults first.
        target_rate: The wanted intervention rate: of the chosen alpha's trials the one nearest to it is kept.
        finished: Whether every trial was run.
        notes: What was left out.
    """
    trials = list(tried.values())
    best = max(trials, key=lambda trial: trial.figure)
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
    elif report.over_default.low > 0 and report.corrected_p < SIGNIFICANCE:
        conclusion = "better"
    else:
        conclusion = "within noise"
    chosen = best if conclusion == "better" else trials[0]
    if target_rate is not None:
        alike = {
            b: t for b, t in tried.items() if replace(b, threshold=0) == replace(chosen.blend, threshold=0)
        }
        chosen = tried[nearest(alike, target_rate)]
    return replace(report, conclusion=conclusion, chosen=chosen, target_rate=target_rate)


def _difference(benchmark: Benchmark, trial: Trial, other: Trial) -> PairedDifference:
    found = compare(benchmark, benchmark.main_figure, trial.verdicts, other.verdicts)
    assert found is not None, "a trial without a main figure is refused when it is scored"
    return found.difference


def _settings(trial: Trial) -> dict[str, Any]:
    blend = trial.blend
    return {"threshold": blend.threshold, "alpha": blend.alpha_name}
