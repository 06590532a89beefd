"""The bootstrap: how a weighted mean varies from one sample to the next.

Here: `bootstrap_means` and the percentiles of a 95 % interval.
Not here: which numbers go in (`jobs.evaluation.score`, `jobs.check`).
Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 10_000
TAILS = (0.025, 0.975)


def bootstrap_means(
    values: ArrayLike, weights: ArrayLike, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Bootstrap replicates of the weighted mean sum_i w_i x_i / sum_i w_i.

    Each replicate draws n of the n pairs (x, w) with replacement. It is drawn as one multinomial: how often
    each *distinct* pair occurs. So the order of the pairs does not matter, and scores of 0 or 1 with equal
    weights need two columns for any n. The distribution is that of scipy.stats.bootstrap, which draws n
    columns and depends on their order.

    Args:
        values: x, in any unit. Shape (n,), n >= 1.
        weights: w, not negative. Shape (n,). For a ratio of sums `sum(a) / sum(b)`, x is a / b and w is b.
        generator: Source of randomness; the same seed gives the same replicates.

    Returns:
        Means in the unit of x. Shape (RESAMPLES,). A replicate whose weights are all 0 has mean 0.
    """
    pairs = np.column_stack([np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)])
    distinct, counts = np.unique(pairs, axis=0, return_counts=True)
    drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES)
    totals = drawn @ distinct[:, 1]
    sums = drawn @ (distinct[:, 0] * distinct[:, 1])
    return np.divide(sums, totals, out=np.zeros(RESAMPLES), where=totals > 0)
