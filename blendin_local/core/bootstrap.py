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
    """Bootstrap copies of `sum(w * x) / sum(w)`: n of the n pairs (x, w) are drawn with replacement.

    That is a draw of how often each *distinct* pair comes, one multinomial per copy. So the order of the
    pairs does not matter, and scores of 0 or 1 cost two columns, however many there are. It is the
    distribution of scipy.stats.bootstrap, which draws n columns and depends on their order.

    Args:
        values: x, shape (n,).
        weights: w, shape (n,), not negative. For a ratio of sums `sum(a) / sum(b)`, x is a / b and w is b.
        generator: Draws the copies; the same seed gives the same copies.

    Returns:
        Shape (RESAMPLES,). A copy whose weights are all 0 is 0.
    """
    pairs = np.column_stack([np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)])
    distinct, counts = np.unique(pairs, axis=0, return_counts=True)
    drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES)
    totals = drawn @ distinct[:, 1]
    sums = drawn @ (distinct[:, 0] * distinct[:, 1])
    return np.divide(sums, totals, out=np.zeros(RESAMPLES), where=totals > 0)
