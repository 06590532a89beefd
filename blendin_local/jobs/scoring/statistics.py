"""What a score is worth: intervals, paired differences, tests.

Here: functions from plain numbers to small frozen results. Every bootstrap is seeded (by default with 609,
the paper's seed), so one input has one result.
Not here: which numbers go in (`figures`), the bootstrap itself (`core.bootstrap`), what needs scipy
(`jobs.evaluation.score.exact`), how they are shown (`views`).
Sources: Wilson 1927; McNemar 1947, exact form; Janssen 1997; Holm 1979; Zou and Donner 2008.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blendin_local.core.bootstrap import TAILS, bootstrap_means
from blendin_local.errors import UsageError
from blendin_local.settings import EVALUATION_SEED as SEED

Floats = NDArray[np.float64]
Z = NormalDist().inv_cdf(TAILS[1])


@dataclass(frozen=True, slots=True)
class Group:
    """Values that are averaged with weights; a figure is the plain mean of its groups' means.

    Attributes:
        values: One number per item.
        weights: How much each item counts, above 0 (IFEval: its number of instructions).
    """

    values: Floats
    weights: Floats

    @staticmethod
    def of(values: ArrayLike, weights: ArrayLike | None = None) -> Group:
        """A group of `values`, each counting 1 unless `weights` are given."""
        numbers = np.asarray(values, dtype=np.float64)
        if numbers.size == 0:
            raise UsageError("there are no values to average", "score at least one answer first")
        factors = np.ones_like(numbers) if weights is None else np.asarray(weights, dtype=np.float64)
        return Group(numbers, factors)

    @property
    def mean(self) -> float:
        """`sum(w * x) / sum(w)`, summed without rounding so that the order does not matter."""
        return math.fsum(self.values * self.weights) / math.fsum(self.weights)


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % interval.

    Attributes:
        value: The mean itself.
        low: Lower end.
        high: Upper end.
        n: How many items it rests on.
        kind: How the ends were found.
    """

    value: float
    low: float
    high: float
    n: int
    kind: Literal["bootstrap", "wilson", "exact"] = "bootstrap"


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much one series is above another on the same items.

    Attributes:
        value: Mean of `a - b`.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided p-value of "no difference".
        n: How many items both have.
    """

    value: float
    low: float
    high: float
    p: float
    n: int


@dataclass(frozen=True, slots=True)
class McNemarResult:
    """McNemar's exact test on pairs of right and wrong.

    Attributes:
        b: Items that only the first has right.
        c: Items that only the second has right.
        p: Two-sided p-value of "both are equally often right".
    """

    b: int
    c: int
    p: float


def resampled(groups: Sequence[Group], seed: int = SEED) -> Floats:
    """Bootstrap copies of the mean of group means, each group resampled for itself; shape (RESAMPLES,)."""
    generator = np.random.default_rng(seed)
    copies = [bootstrap_means(group.values, group.weights, generator) for group in groups]
    return np.sum(copies, axis=0) / len(groups)  # type: ignore[no-any-return]


def group_interval(groups: Sequence[Group], seed: int = SEED) -> Interval:
    """The mean of the groups' means with a 95 % percentile interval, items resampled within each group.

    Where within each group all scores are 0, or all 1, a bootstrap has no width: Wilson's interval of each
    group's share is taken, and these are joined.
    """
    value = float(np.mean([group.mean for group in groups]))
    n = sum(group.values.size for group in groups)
    if all(_constant(group) and group.values[0] in {0.0, 1.0} for group in groups):
        parts = [wilson(round(group.mean * group.values.size), group.values.size) for group in groups]
        low, high = _joined(value, [(part.value - part.low, part.high - part.value) for part in parts])
        return Interval(value, low, high, n, "wilson")
    low, high = np.quantile(resampled(groups, seed), TAILS)
    return Interval(value, float(low), float(high), n)


def _constant(group: Group) -> bool:
    return bool(np.ptp(group.values) == 0)


def _joined(value: float, arms: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Ends of a mean of k figures: its arms are sqrt(sum of squares of theirs) / k (Zou and Donner 2008)."""
    below, above = (math.sqrt(sum(arm * arm for arm in side)) / len(arms) for side in zip(*arms, strict=True))
    return value - below, value + above


def mean_interval(values: ArrayLike, seed: int = SEED) -> Interval:
    """The mean of `values` with a 95 % bootstrap interval.

    Raises:
        UsageError: There are no values.
    """
    return group_interval([Group.of(values)], seed)


def wilson(k: int, n: int) -> Interval:
    """Wilson's 95 % score interval of a proportion of `k` in `n`.

    `(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)` with p = k/n; it never leaves [0, 1].

    Raises:
        UsageError: `k` of `n` is no proportion.
    """
    require_proportion(k, n)
    p, z = k / n, Z
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (0.0 if k == 0 else middle - half), (1 + z * z / n if k == n else middle + half)
    return Interval(p, low / (1 + z * z / n), high / (1 + z * z / n), n, "wilson")


def require_proportion(k: int, n: int) -> None:
    """Raise `UsageError` where `k` of `n` is no proportion."""
    if not 0 <= k <= n or n == 0:
        raise UsageError(f"{k} of {n} is not a proportion", "count at least one item")


def group_difference(groups: Sequence[Group], seed: int = SEED, *, bounded: bool = False) -> PairedDifference:
    """A difference of two figures, from groups of paired differences `a_i - b_i`.

    The interval is the percentile interval of the bootstrap. The p-value counts how often a replicate
    d* is at least as far from the difference d as d is from 0: `(1 + #{|d* - d| >= |d|}) / (1 + resamples)`.

    Args:
        groups: The differences, each group resampled separately.
        seed: Seed of the bootstrap.
        bounded: Whether they come from scores from 0 to 1. If then all d in a group are the same, where a
            bootstrap has no width, a share w, the upper end of Wilson's interval of 0 in n, may still be
            otherwise: the ends are `d - w (1 + d)` and `d + w (1 - d)`.
    """
    value = float(np.mean([group.mean for group in groups]))
    copies = resampled(groups, seed)
    low, high = (float(end) for end in np.quantile(copies, TAILS))
    if bounded and all(map(_constant, groups)):
        shares = [(wilson(0, group.values.size).high, group.mean) for group in groups]
        low, high = _joined(value, [(w * (1 + d), w * (1 - d)) for w, d in shares])
    far = np.abs(copies - value) >= abs(value) - 1e-12
    p = (1 + int(far.sum())) / (1 + copies.size)
    return PairedDifference(value, low, high, p, sum(group.values.size for group in groups))


def mcnemar(b: int, c: int) -> McNemarResult:
    """McNemar's exact test: of `b + c` items on which two methods differ, is the split a fair coin's?

    `p = min(1, 2 * P(X <= min(b, c)))` with X binomial (b + c, 1/2); 1 where they never differ.
    """
    ways = sum(math.comb(b + c, k) for k in range(min(b, c) + 1))
    return McNemarResult(b, c, min(1.0, ways / 2 ** (b + c - 1)) if b + c else 1.0)


def grouped_mcnemar(counts: Sequence[tuple[int, int, int]]) -> McNemarResult:
    """McNemar's exact test where a figure is the plain mean of the shares of several groups of items.

    In a group of n items let d = (b - c) / n, with variance v = ((b + c) / n - d^2) / n. The statistic is
    `T = sum(d) / sqrt(sum(v))`, so that what one group gains and another loses is not counted as noise.
    Its distribution is exact: each differing item is a fair coin's, `b' ~ binomial(b + c, 1/2)` in each
    group, and `p = P(|T'| >= |T|)`. With one group this is `mcnemar`.

    Args:
        counts: Of each group: b, items that only the first has right; c, those that only the second has; n.

    Returns:
        The sums of b and c, and p.

    Source: Janssen 1997 (studentized tests by sign changes), on McNemar's coins.
    """
    d, v, probability = np.zeros(1), np.zeros(1), np.ones(1)
    for b, c, n in counts:
        possible = np.arange(b + c + 1)
        own_d = (2 * possible - (b + c)) / n
        own_v = np.maximum(0.0, ((b + c) / n - own_d**2) / n)
        d = np.add.outer(d, own_d).ravel()
        v = np.add.outer(v, own_v).ravel()
        probability = np.multiply.outer(probability, _fair_coins(b + c)).ravel()
    observed_d = sum((b - c) / n for b, c, n in counts)
    observed_v = sum(max(0.0, ((b + c) / n - ((b - c) / n) ** 2) / n) for b, c, n in counts)
    far = _studentized(d, v) >= _studentized(np.array([observed_d]), np.array([observed_v])) - 1e-9
    p = min(1.0, float(probability[far].sum()))
    return McNemarResult(sum(b for b, _, _ in counts), sum(c for _, c, _ in counts), p)


def _fair_coins(n: int) -> Floats:
    """Probabilities of 0 to n heads in n throws. Shape (n + 1,)."""
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)]
    return np.exp(np.array(logs) - n * math.log(2))


def _studentized(d: Floats, v: Floats) -> Floats:
    """`|d| / sqrt(v)`; infinite where only v is 0, and 0 where d is."""
    size = np.where(np.abs(d) < 1e-12, 0.0, np.abs(d))
    unlimited = np.where(size > 0, np.inf, 0.0)
    return np.divide(size, np.sqrt(v), out=unlimited, where=v > 1e-15)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several tests, adjusted so that any of them is wrongly below 0.05 in at most 5 % of cases.

    With the m values sorted, the i-th becomes the largest of `(m - j + 1) p_j` for j = 1 to i, at most 1.

    Args:
        p_values: One per test, in any order.

    Returns:
        The adjusted values in the same order.
    """
    adjusted, largest = [1.0] * len(p_values), 0.0
    for done, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[i]))
        adjusted[i] = largest
    return adjusted
