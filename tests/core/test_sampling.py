"""Filters and seeded draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.sampling import keep_min_p, keep_top_k, keep_top_p, sample
from blendin_local.errors import UsageError
from blendin_local.settings import SamplingSettings

OPTIONS = {b"a": 0.5, b"b": 0.3, b"c": 0.15, b"d": 0.05}


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (keep_top_k(OPTIONS, 2), b"ab"),
        (keep_top_k(OPTIONS, 0), b"abcd"),
        (keep_top_p(OPTIONS, 0.5), b"a"),
        (keep_top_p(OPTIONS, 0.6), b"ab"),
        (keep_top_p(OPTIONS, 1.0), b"abcd"),
        (keep_top_p(OPTIONS, 0.0), b"a"),
        (keep_min_p(OPTIONS, 0.3), b"abc"),
        (keep_min_p(OPTIONS, 0.0), b"abcd"),
    ],
)
def test_filters_keep_the_head(kept, expected):
    """Each filter keeps the likeliest candidates, and always at least one."""
    assert b"".join(kept) == expected


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.floats(0, 1), st.integers(1, 8))
def test_top_p_is_the_smallest_head_of_enough_mass(weights, mass, scale):
    """Counted out, and no matter what the weights sum to: one candidate less would be too little."""
    options = {bytes([i]): w / scale for i, w in enumerate(sorted(weights, reverse=True))}

    kept = keep_top_p(options, mass)

    head, wanted = list(options.values())[: len(kept)], mass * sum(options.values())
    assert list(kept.items()) == list(options.items())[: len(kept)]
    assert sum(head) >= wanted * (1 - 1e-9)
    assert len(head) == 1 or sum(head[:-1]) < wanted * (1 + 1e-9)


def test_draws_follow_the_distribution():
    """Over many draws the shares are the probabilities (20,000 draws: off by 0.02 once in millions)."""
    rng = np.random.default_rng(1)
    settings = SamplingSettings(temperature=1.0)
    draws = [sample(OPTIONS, settings, rng.random()) for _ in range(20_000)]

    for piece, p in OPTIONS.items():
        assert draws.count(piece) / len(draws) == pytest.approx(p, abs=0.02)


@given(st.integers(0, 2**32), st.floats(0.05, 5))
def test_a_seed_repeats_itself(seed, temperature):
    """The same seed draws the same candidates."""
    settings = SamplingSettings(temperature=temperature)
    rngs = [np.random.default_rng(seed) for _ in range(2)]
    first, second = ([sample(OPTIONS, settings, rng.random()) for _ in range(20)] for rng in rngs)

    assert first == second


def test_a_low_temperature_is_nearly_greedy():
    """As T falls the likeliest candidate takes all."""
    rng = np.random.default_rng(0)

    assert {sample(OPTIONS, SamplingSettings(temperature=0.01), rng.random()) for _ in range(200)} == {b"a"}


@pytest.mark.parametrize("field", ["temperature", "top_p", "min_p"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), 101.0])
def test_values_outside_their_interval_are_refused(field, value):
    """A wrong number is named, nan included."""
    with pytest.raises(UsageError, match="must lie between"):
        SamplingSettings(**{field: value})
