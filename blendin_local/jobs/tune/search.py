"""Which settings are tried, one after another: the protocol of appendix A.4.

Here: `protocol` and `target_rate_search`, generators that yield settings and receive what a trial of them
found.
Not here: trials (`trials`), what counts as better (`verdict`).
Source: Gan et al., BlendIn, ACL 2026, appendix A.4; `calibrated` and the wanted rate are this project's.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from blendin_local.settings import BlendSettings

DEFAULT_THRESHOLD = 0.4
ALPHAS = (0.3, 0.5, 0.7)
THRESHOLDS = (0.3, 0.4, 0.5)
REFINEMENT = 0.1
TOLERANCE = 0.02  # of an intervention rate
MOST_AIMS = 6


class Finding(Protocol):
    """What a trial found."""

    @property
    def figure(self) -> float:
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


Search = Generator[BlendSettings, Finding, None]
Found = dict[BlendSettings, Finding]


def default_of(settings: BlendSettings) -> BlendSettings:
    """The paper's defaults, threshold 0.4 and alpha `auto`, with all else as it is in `settings`."""
    return replace(settings, method="blendin", threshold=DEFAULT_THRESHOLD, alpha=None)


def protocol(default: BlendSettings, more_alphas: Iterable[BlendSettings] = ()) -> Search:
    """Appendix A.4: alpha at threshold 0.4, the best number +- 0.1, then the threshold with the best alpha.

    Args:
        default: Tried first; among equals the first tried is the best.
        more_alphas: Further settings that differ from it in alpha (`calibrated`).
    """
    found: Found = {}
    numbers = [replace(default, alpha=alpha) for alpha in ALPHAS]
    yield from _try([default, *numbers, *more_alphas], found)
    centre = _best({settings: found[settings] for settings in numbers}).alpha
    assert isinstance(centre, float)
    near = [round(centre + step, 2) for step in (-REFINEMENT, REFINEMENT)]
    yield from _try([replace(default, alpha=alpha) for alpha in near], found)
    best = _best(found)
    yield from _try([replace(best, threshold=threshold) for threshold in THRESHOLDS], found)


def _try(settings: Iterable[BlendSettings], found: Found) -> Search:
    for wanted in settings:
        if wanted not in found:
            found[wanted] = yield wanted


def _best(found: Mapping[BlendSettings, Finding]) -> BlendSettings:
    return max(found, key=lambda settings: found[settings].figure)


def target_rate_search(settings: BlendSettings, rate: float, tolerance: float = TOLERANCE) -> Search:
    """A threshold at which the guide is asked at the wanted share of steps.

    A run at one threshold tells at how many of *its* steps the base lies below any other; asked more or less
    often the text becomes another, so each guess is run, and narrows the interval for the next.

    Args:
        settings: All but the threshold; its own threshold is the first guess.
        rate: The wanted intervention rate.
        tolerance: How near is near enough.
    """
    low, high, guess = 0.0, 1.0, settings.threshold
    for _ in range(MOST_AIMS):
        found = yield replace(settings, threshold=guess)
        if abs(found.intervention_rate - rate) <= tolerance:
            return
        if found.intervention_rate < rate:
            low = guess
        else:
            high = guess
        guess = _threshold_for(rate, found.top1_probs)
        if not low < guess < high:
            guess = round((low + high) / 2, 4)


def _threshold_for(rate: float, top1_probs: Sequence[float]) -> float:
    """The threshold below which this share of the certainties lies: between two of them."""
    below = min(round(rate * len(top1_probs)), len(top1_probs) - 1)
    if not top1_probs:
        return DEFAULT_THRESHOLD
    if not below:
        return round(top1_probs[0] / 2, 4)
    return round((top1_probs[below - 1] + top1_probs[below]) / 2, 4)


def nearest(found: Mapping[BlendSettings, Finding], rate: float) -> BlendSettings:
    """Of settings that were tried the one whose rate lies nearest."""
    return min(found, key=lambda settings: abs(found[settings].intervention_rate - rate))
