"""Several guides as one: the formulas against numbers worked out by hand, and their laws."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.blending import auto_alpha, blend, guide_shares, pool
from blendin_local.core.guide_pool import GuidePool, join_guides
from blendin_local.testing.scripted import SILENT, predict

pieces = st.sampled_from([b"a", b"b", b"c", b"d", b"", "😊".encode()])
distributions = st.dictionaries(pieces, st.floats(1e-3, 1.0), min_size=1).map(
    lambda weights: {s: w / (1.1 * sum(weights.values())) for s, w in weights.items()}
)
weights = st.floats(0.01, 100)
A, C = {b"x": 0.6, b"y": 0.2}, {b"y": 0.3, b"z": 0.1}


def peak(distribution):
    return max(distribution.values())


def joint(guides, weights):
    """What these guides say together."""
    return pool(guides, guide_shares([peak(each) for each in guides], weights))


def test_the_shares_and_the_mean_by_hand():
    """Confidences 0.6 and 0.3 share as 2 : 1; weights 1 and 2 make that 1 : 1."""
    assert guide_shares([0.6, 0.3], [1, 1]) == pytest.approx([2 / 3, 1 / 3])
    assert guide_shares([0.6, 0.3], [1, 2]) == [0.5, 0.5]
    assert guide_shares([0.0, 0.0], [1, 3]) == [0.25, 0.75]
    assert pool([A, C], [2 / 3, 1 / 3]) == pytest.approx({b"x": 0.4, b"y": 0.7 / 3, b"z": 0.1 / 3})
    assert list(pool([A, C], [0.5, 0.5])) == [b"x", b"y", b"z"]


def test_eq_3_with_two_guides_by_hand():
    """The joint guide has max g = 0.4 for x, so alpha is 0.4 / (0.4 + 0.3) and the bonus is 0.1 * 0.1."""
    base = {b"y": 0.3, b"x": 0.1}
    g = joint([A, C], [1, 1])
    alpha = auto_alpha(base, g, 0.1)

    assert alpha == pytest.approx(0.4 / 0.7 + 0.01)
    parts = [alpha * 2 / 3, alpha / 3]
    expected = {s: parts[0] * A.get(s, 0) + parts[1] * C.get(s, 0) + (1 - alpha) * base.get(s, 0) for s in g}
    total = sum(expected.values())
    assert blend(base, g, alpha) == pytest.approx({s: p / total for s, p in expected.items()})


@given(distributions, distributions, weights)
def test_one_guide_is_equation_3_to_the_bit(base, guide, weight):
    """Its share is 1, what it says together is what it says, and so is the weight."""
    assert joint([guide], [weight]) == guide
    assert auto_alpha(base, joint([guide], [weight]), 0.1) == auto_alpha(base, guide, 0.1)


@given(distributions, distributions, weights)
def test_a_guide_named_twice_is_the_guide_named_once(base, guide, weight):
    """To the bit; with unequal weights up to rounding."""
    twice = joint([guide, guide], [1.0, 1.0])

    assert list(twice.items()) == sorted(guide.items(), key=lambda item: -item[1])
    assert auto_alpha(base, twice, 0.1) == auto_alpha(base, guide, 0.1)
    assert joint([guide, guide], [1.0, weight]) == pytest.approx(guide)


@given(distributions, distributions, weights)
def test_a_copy_of_a_guide_counts_like_weight(guide, other, weight):
    """A, A and B are A of twice the weight, and B."""
    thrice = joint([guide, guide, other], [weight, weight, 1.0])

    assert thrice == pytest.approx(joint([guide, other], [2 * weight, 1.0]))


@given(st.lists(distributions, min_size=1, max_size=3), st.data())
def test_mass_is_conserved(guides, data):
    """The mean holds the mean of the guides' masses, and the largest comes first."""
    given_weights = data.draw(st.lists(weights, min_size=len(guides), max_size=len(guides)))
    shares = guide_shares([peak(each) for each in guides], given_weights)
    spread = pool(guides, shares)

    assert sum(shares) == pytest.approx(1.0)
    masses = sum(v * sum(each.values()) for v, each in zip(shares, guides, strict=True))
    assert sum(spread.values()) == pytest.approx(masses)
    assert list(spread.values()) == sorted(spread.values(), reverse=True)


@given(st.lists(st.tuples(distributions, weights), min_size=2, max_size=3))
def test_the_order_of_the_guides_does_not_matter(named):
    """No probability changes, to the bit."""
    found = []
    for order in itertools.permutations(named):
        guides, given_weights = zip(*order, strict=True)
        found.append(joint(guides, given_weights))

    assert all(each == found[0] for each in found)


@given(distributions, distributions)
def test_guides_that_disagree_are_less_sure_together(guide, other):
    """Their peak is at most the larger one, so that the base keeps more than with either at its surest."""
    assert peak(joint([guide, other], [1, 1])) <= max(peak(guide), peak(other)) + 1e-12


def test_a_silent_guide_has_no_share():
    """The other is heard alone, with its own probabilities; two silent ones are silent."""
    silent, heard = predict({b"a": 0.2, SILENT: 0.7}), predict({b"b": 0.5})
    pooled = join_guides({"guide": silent, "guide2": heard})

    assert isinstance(pooled, GuidePool)
    assert not pooled.silent
    assert pooled.shares == {"guide": 0.0, "guide2": 1.0}
    assert (pooled.candidates, pooled.top, pooled.top_p) == (heard.candidates, heard.top, heard.top_p)
    assert pooled.speaker(b"a") == "guide2"
    assert join_guides({"guide": silent, "guide2": silent}).silent
    assert join_guides({"guide": heard}) is heard
