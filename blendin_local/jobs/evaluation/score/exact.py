"""Statistics that need scipy: an exact interval, a correlation.

Here: `clopper_pearson` and `pearson`.
Not here: those that need no more than numpy (`jobs.scoring.statistics`).
Source: Clopper and Pearson 1934.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from blendin_local.errors import UsageError
from blendin_local.jobs.scoring.statistics import Interval, require_proportion


@dataclass(frozen=True, slots=True)
class Correlation:
    """Pearson's r with its two-sided p-value, over `n` points."""

    r: float
    p: float
    n: int


def clopper_pearson(k: int, n: int) -> Interval:
    """The exact 95 % interval of a proportion of `k` in `n`: it covers the truth at least that often.

    Its ends are the shares at which `k` or more, and `k` or fewer, of n have probability 0.025.
    """
    require_proportion(k, n)
    ends = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    return Interval(k / n, float(ends.low), float(ends.high), n, "exact")


def pearson(x: ArrayLike, y: ArrayLike) -> Correlation | None:
    """Pearson's r of paired values, with the two-sided p-value of "no linear relation".

    `t = r sqrt((n-2) / (1-r^2))` follows Student's t with n - 2 degrees of freedom. None if r has no
    meaning: fewer than three points, or a side that never varies.
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.shape != second.shape:
        raise UsageError(f"{first.size} values cannot be paired with {second.size}", "give one y for each x")
    if first.size < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    found = stats.pearsonr(first, second)
    return Correlation(float(found.statistic), float(found.pvalue), first.size)
