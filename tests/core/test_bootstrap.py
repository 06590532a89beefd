"""The bootstrap against closed forms and scipy's, and the laws it obeys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from blendin_local.core.bootstrap import RESAMPLES, TAILS, bootstrap_means


def copies(values, weights=None, seed=1):
    ones = np.ones(len(values)) if weights is None else weights
    return bootstrap_means(values, ones, np.random.default_rng(seed))


def test_the_spread_of_a_share_is_the_closed_form():
    """Copies of a share p of n have mean p and standard deviation sqrt(p (1 - p) / n)."""
    drawn = copies([1.0] * 30 + [0.0] * 70)

    assert drawn.mean() == pytest.approx(0.3, abs=0.002)
    assert drawn.std() == pytest.approx((0.3 * 0.7 / 100) ** 0.5, rel=0.03)


def test_a_ratio_of_sums_is_that_of_scipy():
    """The interval of sum(parts) / sum(wholes), drawn in pairs, is scipy's up to the random draws."""
    generator = np.random.default_rng(2)
    wholes = generator.integers(10, 60, size=40).astype(float)
    parts = np.floor(wholes * generator.beta(2, 5, size=40))
    theirs = stats.bootstrap(
        (parts, wholes),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        n_resamples=RESAMPLES,
        method="percentile",
        random_state=3,
    ).confidence_interval

    assert np.quantile(copies(parts / wholes, wholes), TAILS) == pytest.approx(
        [theirs.low, theirs.high], abs=0.003
    )


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9)), min_size=1, max_size=30), st.randoms())
def test_order_does_not_matter_and_a_seed_repeats(pairs, random):
    """Law: the same pairs in any order give the same copies, bit for bit, all within the values' range."""
    values, weights = np.array(pairs, dtype=float).T
    mixed = np.array(random.sample(pairs, len(pairs)), dtype=float).T
    drawn = copies(values, weights)

    assert np.array_equal(drawn, copies(*mixed))
    assert drawn.min() >= min(0, values.min()) - 1e-9
    assert drawn.max() <= values.max() + 1e-9


def test_answers_without_steps_are_no_division_by_zero():
    """A copy in which only pairs of weight 0 were drawn is 0."""
    drawn = copies([0.0, 0.5], [0.0, 4.0])

    assert set(drawn) == {0.0, 0.5}
