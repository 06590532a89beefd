"""Which settings are tried, one after another: the protocol of appendix A.4, and one for steering.

Here: `appendix_a4_search`, `target_rate_search` and `steering_search`, generators that yield settings and
receive the outcome of a trial of them.
Not here: trials (`trials`), what counts as better (`report`).
Sources: Gan et al., BlendIn, ACL 2026, appendix A.4; `calibrated` and the target rate are this project's.
Wang et al., InferAligner, EMNLP 2024, leave open which layers are steered and how strongly; the search for
both is this project's.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from blendin_local.core.methods import STEERED
from blendin_local.jobs.tune.setting import TrialSetting
from blendin_local.settings import BlendSettings, LayerRange, ScaledFile

DEFAULT_THRESHOLD = BlendSettings.threshold
ALPHAS = (0.3, 0.5, 0.7)
THRESHOLDS = (0.3, 0.4, 0.5)
REFINEMENT = 0.1
SCALES = (0.25, 0.5, 1.0)  # of a control vector; at 1 a state is moved as far as the two groups lie apart
TOLERANCE = 0.02  # of an intervention rate
MAX_GUESSES = 6


class Outcome(Protocol):
    """The outcome of a trial."""

    @property
    def score_value(self) -> float:
        """The score, larger is better."""
        ...

    @property
    def intervention_rate(self) -> float:
        """Asked steps over all steps."""
        ...

    @property
    def top1_probs(self) -> Sequence[float]:
        """The base's top-1 probability at every step, ascending."""
        ...


Search = Generator[TrialSetting, Outcome, None]
Outcomes = dict[TrialSetting, Outcome]


def default_of(settings: BlendSettings) -> BlendSettings:
    """The paper's defaults, threshold 0.4 and alpha `auto`, with all else as it is in `settings`."""
    return replace(settings, method="blendin", threshold=DEFAULT_THRESHOLD, alpha=None)


def appendix_a4_search(default: TrialSetting, more_alphas: Iterable[TrialSetting] = ()) -> Search:
    """Appendix A.4: alpha at threshold 0.4, the best number +- 0.1, then the threshold at the best alpha.

    Args:
        default: Tried first; among equals the first tried is the best.
        more_alphas: Further settings that differ from it in alpha (`calibrated`).
    """
    outcomes: Outcomes = {}
    numbers = [default.with_blend(alpha=alpha) for alpha in ALPHAS]
    yield from _try([default, *numbers, *more_alphas], outcomes)
    middle = _best({settings: outcomes[settings] for settings in numbers}).blend.alpha
    assert isinstance(middle, float)
    near = [round(middle + step, 2) for step in (-REFINEMENT, REFINEMENT)]
    yield from _try([default.with_blend(alpha=alpha) for alpha in near], outcomes)
    best = _best(outcomes)
    yield from _try([best.with_blend(threshold=threshold) for threshold in THRESHOLDS], outcomes)


def steering_search(unsteered: TrialSetting, path: Path, layers: Sequence[int]) -> Search:
    """Scale and layers of a control vector: every scale with all layers, then the best with half of them.

    Each trial answers all questions, so there are few: six. The milder scale is tried first, and among equals
    the first tried is the best.

    Args:
        unsteered: The base without the vector. Tried first: it is to be beaten.
        path: The file of the control vector.
        layers: The layers that it has directions for, ascending. A single one is not halved.
    """

    def steered(scale: float, some: Sequence[int]) -> TrialSetting:
        vector = ScaledFile(path, scale, LayerRange(some[0], some[-1]))
        return TrialSetting(replace(unsteered.blend, method=STEERED), vector)

    yield unsteered
    outcomes: Outcomes = {}
    yield from _try([steered(scale, layers) for scale in SCALES], outcomes)
    best = _best(outcomes).vector
    assert best is not None
    middle = len(layers) // 2
    halves = filter(None, (layers[:middle], layers[middle:]))
    yield from _try([steered(best.scale, half) for half in halves], outcomes)


def _try(candidates: Iterable[TrialSetting], outcomes: Outcomes) -> Search:
    for settings in candidates:
        if settings not in outcomes:
            outcomes[settings] = yield settings


def _best(outcomes: Mapping[TrialSetting, Outcome]) -> TrialSetting:
    return max(outcomes, key=lambda setting: outcomes[setting].score_value)


def target_rate_search(setting: TrialSetting, rate: float, tolerance: float = TOLERANCE) -> Search:
    """A threshold at which the guide is asked at a given share of the steps.

    One run shows how many of *its* steps would be below any other threshold. But the answers change if the
    guide is asked more or less often. So each guess is run, and its rate narrows the interval for the next.

    Args:
        setting: All but the threshold; its own threshold is the first guess.
        rate: The intervention rate to reach.
        tolerance: The difference from it that is close enough.
    """
    low, high, guess = 0.0, 1.0, setting.blend.threshold
    for _ in range(MAX_GUESSES):
        outcome = yield setting.with_blend(threshold=guess)
        if abs(outcome.intervention_rate - rate) <= tolerance:
            return
        if outcome.intervention_rate < rate:
            low = guess
        else:
            high = guess
        guess = _threshold_for(rate, outcome.top1_probs)
        if not low < guess < high:
            guess = round((low + high) / 2, 4)


def _threshold_for(rate: float, top1_probs: Sequence[float]) -> float:
    """The threshold below which this share of the top-1 probabilities is: halfway between two of them."""
    below = min(round(rate * len(top1_probs)), len(top1_probs) - 1)
    if not top1_probs:
        return DEFAULT_THRESHOLD
    if not below:
        return round(top1_probs[0] / 2, 4)
    return round((top1_probs[below - 1] + top1_probs[below]) / 2, 4)


def nearest_to_rate(outcomes: Mapping[TrialSetting, Outcome], rate: float) -> TrialSetting:
    """Of the settings that were tried, the one whose intervention rate is nearest to `rate`."""
    return min(outcomes, key=lambda settings: abs(outcomes[settings].intervention_rate - rate))
