"""Whether a model's confidence can be trusted, and the temperature that would correct it.

Here: reliability bins, expected calibration error, `fit_temperature`: arrays over the positions of a text.
Not here: one position (`core.token_scores`), scoring a text (`decode.scoring`), which positions are used
(`jobs.check`).
Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017: ECE (eq. 3) and
temperature scaling, one number T fitted by minimum negative log-likelihood. In b = 1/T the loss is convex:
its first derivative is the mean, over positions, of the expected minus the actual logit, and its second the
mean variance of the logit.
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
        hits: Whether the likeliest token was the actual one. Shape (n,).
        gap: Largest logit minus the actual token's, in nats, at least 0. Shape (n,).
        log_sum: L, in nats. Shape (n, m).
        slope: L', the first derivative. Shape (n, m).
        bend: L'', the second derivative. Shape (n, m).
    """

    hits: NDArray[np.bool_]
    gap: Floats
    log_sum: Floats
    slope: Floats
    bend: Floats

    @classmethod
    def of(cls, scores: Iterable[TokenScore]) -> CalibrationData:
        """The scores that have a `temperature_profile`, as arrays."""
        profiled = [
            (score.top_is_token, score.temperature_profile)
            for score in scores
            if score.temperature_profile is not None
        ]
        profiles = [profile for _, profile in profiled]
        shape = (len(profiled), len(INVERSE_TEMPERATURES))
        return cls(
            np.array([hit for hit, _ in profiled], dtype=bool),
            np.array([t.gap for t in profiles], dtype=float),
            np.array([t.log_sum for t in profiles], dtype=float).reshape(shape),
            np.array([t.slope for t in profiles], dtype=float).reshape(shape),
            np.array([t.bend for t in profiles], dtype=float).reshape(shape),
        )

    def __len__(self) -> int:
        return len(self.hits)

    def log_sum_at(self, b: float) -> Floats:
        """L(b), shape (n,): quintic Hermite interpolation from L, L' and L'' at the grid points around b.

        Args:
            b: Inverse temperature 1/T, within `INVERSE_TEMPERATURES`.
        """
        i, t, h = _between(b)
        ends = [(f[:, i], f[:, i + 1]) for f in (self.log_sum, self.slope * h, self.bend * h * h)]
        (v0, v1), (s0, s1), (c0, c1) = ends
        u = 1 - t
        near = u**3 * (v0 * (1 + 3 * t + 6 * t * t) + s0 * t * (1 + 3 * t) + c0 * t * t / 2)
        far = t**3 * (v1 * (1 + 3 * u + 6 * u * u) - s1 * u * (1 + 3 * u) + c1 * u * u / 2)
        value: Floats = near + far
        return value

    def slope_at(self, b: float) -> Floats:
        """L'(b), shape (n,): cubic Hermite interpolation from L' and L'' at the grid points around b.

        Args:
            b: Inverse temperature 1/T, within `INVERSE_TEMPERATURES`.
        """
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
        """The positions where `chosen`, shape (n,), is true."""
        return CalibrationData(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def _between(b: float) -> tuple[int, float, float]:
    """The grid interval around b: its index, b's relative position in it (0 to 1), and its length."""
    grid = INVERSE_TEMPERATURES
    i = int(np.clip(np.searchsorted(grid, b, side="right") - 1, 0, len(grid) - 2))
    length = float(grid[i + 1] - grid[i])
    return i, (b - float(grid[i])) / length, length


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Positions of similar confidence.

    Attributes:
        low: Lower bound of the confidence, included.
        high: Upper bound, excluded except for the last bin.
        count: Number of positions.
        confidence: Their mean confidence; the middle of the bin if it is empty.
        accuracy: The share of positions where the likeliest token was the actual one; 0 if the bin is empty.
        spread: Sum of p (1 - p) over the positions: the variance of the number of hits if each confidence p
            were the true probability of a hit.
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
    """Sort positions into bins of equal width by confidence.

    Args:
        confidence: Top-1 probabilities in [0, 1]. Shape (n,).
        hits: Whether the likeliest token was the actual one. Shape (n,).
        n_bins: Number of bins.

    Returns:
        All bins in ascending order, empty ones included.
    """
    indices = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    parts = (np.ones_like(confidence), confidence, hits, confidence * (1 - confidence))
    sums = [np.bincount(indices, weights=part, minlength=n_bins).tolist() for part in parts]
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
    """ECE (eq. 3 of the source): sum_b n_b / n * |accuracy_b - confidence_b|, in [0, 1].

    n_b is the count of bin b, n the sum of all n_b. Returns 0 if all bins are empty.
    """
    filled = [b for b in bins if b.count]
    total = sum(b.count for b in filled)
    return sum(b.count * abs(b.accuracy - b.confidence) for b in filled) / total if total else 0.0


def chance_calibration_error(bins: Iterable[ReliabilityBin]) -> float:
    """The ECE expected by chance from a perfectly calibrated model with the same confidences.

    sum_b sqrt(2 / pi * spread_b) / n

    The number of hits in bin b then has variance `spread_b`, and the mean absolute deviation of a normal
    variable is sqrt(2 / pi) standard deviations. n is the number of positions in all bins. Returns 0 if all
    bins are empty.
    """
    filled = [b for b in bins if b.count]
    total = sum(b.count for b in filled)
    return float(sum((2 / pi * b.spread) ** 0.5 for b in filled) / total) if total else 0.0


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """The temperature of minimum negative log-likelihood.

    Attributes:
        temperature: Above 1: the model is overconfident; below 1: underconfident.
        low: Lower end of its 95 % confidence interval.
        high: Upper end.
        loss: Mean negative log-likelihood per token at `temperature`, in nats.
        loss_before: The same at temperature 1.
        at_edge: Whether the minimum lies outside the measured range; `temperature` is then the nearer end.
    """

    temperature: float
    low: float
    high: float
    loss: float
    loss_before: float
    at_edge: bool = False


def fit_temperature(data: CalibrationData) -> TemperatureFit | None:
    """Fit the temperature T = 1/b by minimum mean negative log-likelihood, in nats per token.

    b = argmin_b mean_i (b * gap_i + L_i(b)), by bisection of the derivative. The interval is the sandwich
    estimate: with g_i = gap_i + L_i'(b) and h = mean_i L_i''(b), the standard error of b is
    sqrt(mean_i g_i^2 / n) / h, and the interval's ends are those of b +- 1.96 standard errors.

    Args:
        data: n token scores.

    Returns:
        The fit; None if `data` is empty.
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
