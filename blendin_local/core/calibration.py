"""Whether a model's confidence can be trusted, and the temperature that would correct it.

Here: reliability bins, expected calibration error, `fit_temperature`: arrays over the places of a text.
Not here: one place (`core.token_scores`), reading (`decode.scoring`), which places count (`jobs.check`).
Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017: ECE (eq. 3) and
temperature scaling, one number T fitted by minimum negative log-likelihood. In b = 1/T the loss is convex:
its slope is the mean, over places, of the expected minus the actual logit, its bend the mean variance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.token_scores import INVERSE_TEMPERATURES, TokenScore

Floats = NDArray[np.float64]
N_BINS = 15  # as in the source
Z_95 = 1.959964
HALVINGS = 50


@dataclass(frozen=True)
class CalibrationData:
    """Token scores as arrays: n scores, m inverse temperatures; symbols as in `TemperatureProfile`.

    Attributes:
        hits: Whether the likeliest token was the right one. Shape (n,).
        gap: Shape (n,).
        log_sum: L. Shape (n, m).
        slope: L'. Shape (n, m).
        bend: L''. Shape (n, m).
    """

    hits: NDArray[np.bool_]
    gap: Floats
    log_sum: Floats
    slope: Floats
    bend: Floats

    @classmethod
    def of(cls, scores: Iterable[TokenScore]) -> CalibrationData:
        """Those places that were read with `temperature_profile`."""
        known = [
            (score.top_is_token, score.temperature_profile)
            for score in scores
            if score.temperature_profile is not None
        ]
        tempers = [temperature_profile for _, temperature_profile in known]
        shape = (len(known), len(INVERSE_TEMPERATURES))
        return cls(
            np.array([hit for hit, _ in known], dtype=bool),
            np.array([t.gap for t in tempers], dtype=float),
            np.array([t.log_sum for t in tempers], dtype=float).reshape(shape),
            np.array([t.slope for t in tempers], dtype=float).reshape(shape),
            np.array([t.bend for t in tempers], dtype=float).reshape(shape),
        )

    def __len__(self) -> int:
        return len(self.hits)

    def log_sum_at(self, b: float) -> Floats:
        """L(b), shape (n,): the polynomial of degree 5 through value, slope and bend on both sides of b."""
        i, t, h = _between(b)
        ends = [(f[:, i], f[:, i + 1]) for f in (self.log_sum, self.slope * h, self.bend * h * h)]
        (v0, v1), (s0, s1), (c0, c1) = ends
        u = 1 - t
        near = u**3 * (v0 * (1 + 3 * t + 6 * t * t) + s0 * t * (1 + 3 * t) + c0 * t * t / 2)
        far = t**3 * (v1 * (1 + 3 * u + 6 * u * u) - s1 * u * (1 + 3 * u) + c1 * u * u / 2)
        value: Floats = near + far
        return value

    def slope_at(self, b: float) -> Floats:
        """L'(b), shape (n,): the cubic through slope and bend on both sides of b."""
        i, t, h = _between(b)
        s0, s1, c0, c1 = self.slope[:, i], self.slope[:, i + 1], self.bend[:, i] * h, self.bend[:, i + 1] * h
        u = 1 - t
        value: Floats = u * u * (s0 * (1 + 2 * t) + c0 * t) + t * t * (s1 * (1 + 2 * u) - c1 * u)
        return value

    def confidence(self, temperature: float = 1.0) -> Floats:
        """The probability of the likeliest token at a temperature, shape (n,): exp(-L(1/T))."""
        value: Floats = np.exp(-self.log_sum_at(1 / temperature))
        return value

    def loss(self, temperature: float = 1.0) -> float:
        """Mean negative log-likelihood per token at a temperature, in nats: mean of gap / T + L(1/T)."""
        return float((self.gap / temperature + self.log_sum_at(1 / temperature)).mean())

    def where(self, chosen: NDArray[np.bool_]) -> CalibrationData:
        """Some of the places."""
        return CalibrationData(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def _between(b: float) -> tuple[int, float, float]:
    """The grid interval around b: its index, b's score in it (0 to 1), and its length."""
    grid = INVERSE_TEMPERATURES
    i = int(np.clip(np.searchsorted(grid, b, side="right") - 1, 0, len(grid) - 2))
    length = float(grid[i + 1] - grid[i])
    return i, (b - float(grid[i])) / length, length


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Places of like confidence.

    Attributes:
        low: Where the bin begins.
        high: Where it ends.
        count: How many places.
        confidence: Their mean confidence; the bin's middle where there are none.
        accuracy: The share that was right; 0 where there are none.
        spread: Sum of p (1 - p) over the scores: the variance of the number of hits, were p true.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float
    spread: float


def reliability_bins(
    confidence: Floats, hits: NDArray[np.bool_], n_bins: int = N_BINS
) -> list[ReliabilityBin]:
    """Sort places into bins of equal width by confidence.

    Args:
        confidence: Top-1 probabilities in [0, 1]. Shape (n,).
        hits: Whether the likeliest token was right. Shape (n,).
        n_bins: How many bins.
    """
    score = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    parts = (np.ones_like(confidence), confidence, hits, confidence * (1 - confidence))
    sums = [np.bincount(score, weights=part, minlength=n_bins).tolist() for part in parts]
    return [
        ReliabilityBin(
            low=i / n_bins,
            high=(i + 1) / n_bins,
            count=int(n),
            confidence=p / n if n else (i + 0.5) / n_bins,
            accuracy=right / n if n else 0.0,
            spread=spread,
        )
        for i, (n, p, right, spread) in enumerate(zip(*sums, strict=True))
    ]


def expected_calibration_error(bins: Iterable[ReliabilityBin]) -> float:
    """ECE = sum_b n_b / n * |accuracy_b - confidence_b|; 0 where there are no places."""
    filled = [b for b in bins if b.count]
    total = sum(b.count for b in filled)
    return sum(b.count * abs(b.accuracy - b.confidence) for b in filled) / total if total else 0.0


def chance_calibration_error(bins: Iterable[ReliabilityBin]) -> float:
    """The ECE that a perfectly calibrated model would show on as many places, by chance alone.

    A bin's hits would vary with variance `spread`; the mean distance of a normal number from its mean is
    sqrt(2 / pi) standard deviations: sum_b sqrt(2 / pi * spread_b) / n.
    """
    filled = [b for b in bins if b.count]
    total = sum(b.count for b in filled)
    return float(sum((2 / pi * b.spread) ** 0.5 for b in filled) / total) if total else 0.0


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """The temperature of minimum negative log-likelihood.

    Attributes:
        temperature: Above 1: the model is too sure of itself; below 1: not sure enough.
        low: Lower end of its 95 % interval.
        high: Upper end.
        loss: Mean negative log-likelihood per token there, in nats.
        loss_before: The same at temperature 1.
        at_edge: Whether the minimum lies outside the range that was measured, so that its end is given.
    """

    temperature: float
    low: float
    high: float
    loss: float
    loss_before: float
    at_edge: bool = False


def fit_temperature(data: CalibrationData) -> TemperatureFit | None:
    """Fit one number by minimum negative log-likelihood.

    The slope of the mean loss in b is bisected. The interval is the sandwich estimate: with g_i the slope and
    h the mean bend at the minimum, the standard error of b is sqrt(mean g_i^2 / n) / h.

    Returns:
        None where there are no places.
    """
    if not len(data):
        return None
    low, high = float(INVERSE_TEMPERATURES[0]), float(INVERSE_TEMPERATURES[-1])
    mean_gap = float(data.gap.mean())

    def slope(b: float) -> float:
        return mean_gap + float(data.slope_at(b).mean())

    at_edge = slope(low) > 0 or slope(high) < 0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    b = (low + high) / 2
    error = _standard_error(data, b)
    return TemperatureFit(
        temperature=1 / b,
        low=1 / (b + Z_95 * error),
        high=1 / max(b - Z_95 * error, 1e-3),
        loss=data.loss(1 / b),
        loss_before=data.loss(),
        at_edge=at_edge,
    )


def _standard_error(data: CalibrationData, b: float) -> float:
    i, t, _ = _between(b)
    bend = float(((1 - t) * data.bend[:, i] + t * data.bend[:, i + 1]).mean())
    slopes = data.gap + data.slope_at(b)
    return float(np.sqrt((slopes**2).mean() / len(data))) / bend if bend > 0 else 0.0
