"""Equations 3, 4 and 5 against worked values and laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.blending import auto_alpha, blend, greedy, likeliest

pieces = st.sampled_from([b"", b"a", b"b", b"ab", b" c", b"\xf0\x9f"])
distributions = st.dictionaries(pieces, st.floats(1e-6, 1.0), min_size=1)


@pytest.mark.parametrize(
    ("base_top", "guide_top", "agreement", "expected"),
    [(0.39, 0.9, 0.0, 0.698), (0.39, 0.1, 0.0, 0.204), (0.1, 0.9, 0.1, 0.91), (0.3, 0.3, 0.3, 0.53)],
)
def test_alpha_matches_worked_values(base_top, guide_top, agreement, expected):
    """Equation 3 by hand: the guide's confidence over both, and a tenth of the base's support."""
    same = agreement == base_top
    base = {b"b": base_top} if same else {b"b": base_top, b"g": agreement}
    guide = {b"b" if same else b"g": guide_top}

    assert auto_alpha(base, guide, 0.1) == pytest.approx(expected, abs=5e-4)


@given(distributions, distributions, st.floats(0, 1))
def test_alpha_is_a_weight(base, guide, bonus):
    """Equation 3 stays in [0, 1] whatever the distributions."""
    assert 0 <= auto_alpha(base, guide, bonus) <= 1


@given(distributions, distributions, st.floats(0, 1))
def test_a_blend_is_a_distribution(base, guide, alpha):
    """Equation 4 normalised sums to one and never invents a candidate."""
    blended = blend(base, guide, alpha)

    assert sum(blended.values()) == pytest.approx(1.0)
    assert blended.keys() <= base.keys() | guide.keys()


@given(distributions, distributions, st.floats(0, 1))
def test_a_blend_equals_enumeration(base, guide, alpha):
    """Equation 4 equals the sum written out over every string either model knows."""
    mixed = {s: alpha * guide.get(s, 0) + (1 - alpha) * base.get(s, 0) for s in base.keys() | guide.keys()}
    total = sum(mixed.values())

    assert blend(base, guide, alpha) == pytest.approx({s: p / total for s, p in mixed.items() if p > 0})


@given(distributions, distributions)
def test_the_ends_of_alpha_are_the_models_themselves(base, guide):
    """With alpha 0 the base decides alone, with 1 the guide."""
    assert greedy(blend(base, guide, 0.0), base) == likeliest(base)
    assert blend(base, guide, 1.0)[likeliest(guide)] == pytest.approx(
        max(guide.values()) / sum(guide.values())
    )


def test_ties_go_to_the_base_then_to_the_smaller_bytes():
    """Equation 5 where candidates are equal."""
    assert greedy({b"a": 0.5, b"b": 0.5}, {b"b": 0.1}) == b"b"
    assert greedy({b"b": 0.5, b"a": 0.5}, {}) == b"a"
