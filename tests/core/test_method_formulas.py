"""The formulas beside the paper's against worked values and their limits: product, deferral, dial, gates."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.core.bets import is_rejected
from blendin_local.core.blending import (
    blend,
    defer,
    deferred_mass,
    kept_by_deferral,
    product,
    realign,
    steer,
)
from blendin_local.core.candidates import TokenTable
from blendin_local.core.decisions import AnswerState, Redrawn
from blendin_local.core.distribution import Prediction
from blendin_local.core.gates import CERTAINTIES, is_certain
from blendin_local.core.sampling import sample_again
from blendin_local.settings import BlendSettings, SamplingSettings
from blendin_local.testing.scripted import SILENT, predict

pieces = st.sampled_from([b"", b"a", b"b", b"ab", b" c", b"\xf0\x9f"])
distributions = st.dictionaries(pieces, st.floats(1e-6, 1.0), min_size=1).map(
    lambda weights: {s: w / sum(weights.values()) for s, w in weights.items()}
)
B, G = {b"a": 0.6, b"b": 0.3, b"x": 0.1}, {b"b": 0.8, b"a": 0.1, b"y": 0.1}


def ordered(distribution):
    """The same with the largest first, as a model's candidates are."""
    return dict(sorted(distribution.items(), key=lambda item: -item[1]))


def test_the_product_of_two_distributions_by_hand():
    """0.6^0.5 * 0.1^0.5 and 0.3^0.5 * 0.8^0.5, over their sum; x and y are in one list only."""
    a, b = math.sqrt(0.06), math.sqrt(0.24)

    assert product(B, G, 0.5) == pytest.approx({b"b": b / (a + b), b"a": a / (a + b)})
    assert product({b"x": 0.9}, {b"y": 0.5}, 0.3) == blend({b"x": 0.9}, {b"y": 0.5}, 0.3)


@given(distributions, distributions, st.floats(0, 1))
def test_a_product_is_a_distribution_with_both_models_as_its_ends(base, guide, alpha):
    """At alpha 0 it is the base, at 1 the guide, and it never has what both lack."""
    between = product(base, guide, alpha)

    assert sum(between.values()) == pytest.approx(1.0)
    assert between.keys() <= base.keys() | guide.keys()
    assert list(between.values()) == sorted(between.values(), reverse=True)
    assert product(base, guide, 0.0) == pytest.approx(base)
    assert product(base, guide, 1.0) == pytest.approx(guide)


def test_proxy_tuning_has_a_weight():
    """At weight 2 the shift counts twice, 0.5 * (0.2 / 0.4)^2 and 0.3 * (0.6 / 0.2)^2; at 0 not at all."""
    base, guide, untuned = {b"a": 0.5, b"b": 0.3}, {b"a": 0.2, b"b": 0.6}, {b"a": 0.4, b"b": 0.2}
    a, b = 0.5 * 0.25, 0.3 * 9

    assert steer(base, guide, untuned, 2.0) == pytest.approx({b"b": b / (a + b), b"a": a / (a + b)})
    assert steer(base, guide, untuned, 0.0) == pytest.approx({b"a": 0.625, b"b": 0.375})
    assert steer(base, {b"a": 0.0, b"b": 1.0}, {b"a": 1.0, b"b": 0.0}, 5.0)[b"b"] == pytest.approx(1.0)


def test_deferral_by_hand():
    """Lambda 0.4 keeps a's 0.45; 0.55 is deferred: 0.45 + 0.55 * 0.1 for a and 0.55 * 0.9 for b."""
    kept = kept_by_deferral({b"a": 0.45, b"c": 0.3}, 0.4)

    assert kept == {b"a": 0.45}
    assert deferred_mass(kept) == pytest.approx(0.55)
    assert defer(kept, {b"b": 0.9, b"a": 0.1}) == pytest.approx({b"a": 0.505, b"b": 0.495})


@given(distributions, distributions, st.floats(0, 1))
def test_deferral_conserves_mass(base, guide, threshold):
    """The sum over y' of d(y') b(y') goes to the guide in its proportions, as the formula has it."""
    d = {y: p < threshold for y, p in base.items()}
    total = sum(p for y, p in base.items() if d[y])
    formula = {y: (1 - d.get(y, True)) * base.get(y, 0) + guide.get(y, 0) * total for y in {**base, **guide}}

    found = defer(kept_by_deferral(base, threshold), guide)

    assert {y: found.get(y, 0.0) for y in formula} == pytest.approx(formula, abs=1e-9)


def test_deferral_has_the_base_and_the_guide_as_its_limits():
    """At lambda 0 nothing is deferred, above max b everything."""
    assert {**dict.fromkeys(G, 0.0), **B} == pytest.approx(defer(kept_by_deferral(B, 0.0), G))
    assert defer(kept_by_deferral(B, 0.7), G) == pytest.approx(G)


def test_the_dial_by_hand():
    """Half way: the square roots of both. At 2: r squared over b, where what b lacks counts as its last."""
    a, b = math.sqrt(0.06), math.sqrt(0.24)
    past = {b"b": 0.8**2 / 0.3, b"a": 0.1**2 / 0.6, b"y": 0.1**2 / 0.1}
    total = sum(past.values())

    assert realign(B, G, 0.5) == pytest.approx({b"b": b / (a + b), b"a": a / (a + b)})
    assert realign(B, G, 2.0) == pytest.approx({s: w / total for s, w in past.items()})


@given(distributions, distributions, st.floats(0, 2))
def test_the_dial_goes_through_the_base_and_the_result(base, result, dial):
    """0 is the one, 1 the other, and anything between or beyond is a distribution of the result's words."""
    turned = realign(base, result, dial)

    assert realign(base, result, 0) == pytest.approx(base)
    assert realign(base, result, 1) == pytest.approx(result)
    assert sum(turned.values()) == pytest.approx(1.0)
    assert dial == 0 or turned.keys() <= result.keys()
    assert realign(base, base, dial) == pytest.approx(base)


@given(distributions, distributions, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_the_dial_of_a_product_is_a_factor_of_alpha(base, guide, alpha, dial):
    """Dial c with weight alpha is weight c * alpha, and c = 1 / alpha is the guide."""
    if not base.keys() & guide.keys():
        return
    turned = realign(base, product(base, guide, alpha), dial)
    shared = base.keys() & guide.keys()
    of_guide = sum(guide[s] for s in shared)

    assert turned == pytest.approx(product(base, guide, alpha * dial), rel=1e-6)
    assert realign(base, product(base, guide, alpha), 1 / alpha) == pytest.approx(
        {s: guide[s] / of_guide for s in shared}, rel=1e-6
    )


def test_a_bet_is_lost_by_more_than_the_margin():
    """0.5 against 0.7 is lost at margin 0.1, and not at 0.25; nothing is lost at margin 1."""
    assert is_rejected(0.5, 0.7, 0.1)
    assert not is_rejected(0.5, 0.7, 0.25)
    assert not is_rejected(0.0, 1.0, 1.0)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_no_guide_wins_a_bet_against_a_base_that_is_sure_enough(p, guide_peak, margin):
    """If b(v) >= 1 - m, v stays, whatever max g is: the reason why the guide need not be asked."""
    assert is_rejected(p, 1.0, margin) or not is_rejected(p, guide_peak, margin)


def test_three_measures_of_certainty_by_hand():
    """0.5, 0.25 and 0.25: top-1 0.5, margin 0.25, entropy 1.5 bits or a certainty of 2^-1.5."""
    prediction = predict({b"a": 0.5, b"b": 0.25, b"c": 0.25})
    found = {name: certainty(prediction) for name, certainty in CERTAINTIES.items()}

    assert found == pytest.approx({"top1": 0.5, "margin": 0.25, "entropy": 2**-1.5}, rel=1e-5)
    assert prediction.entropy == pytest.approx(1.5 * math.log(2), rel=1e-5)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=6))
def test_certainties_lie_between_0_and_the_top_1_probability(weights):
    """So at an equal threshold, margin and entropy ask at least where top-1 does."""
    total = sum(weights)
    prediction = predict({bytes([97 + i]): w / total for i, w in enumerate(weights)})

    for certainty in CERTAINTIES.values():
        assert -1e-6 <= certainty(prediction) <= prediction.top_p + 1e-6


@given(st.lists(st.floats(-30, 30), min_size=3, max_size=8), st.sampled_from([0.0, 300.0]))
def test_margin_and_entropy_are_those_of_the_softmax(logits, shift):
    """Compared with the definition in double precision, for logits of any size."""
    table = TokenTable.build([b"%d" % i for i in range(len(logits))], [])
    z = (np.array(logits) + shift).astype(np.float32)
    exact = np.exp(z.astype(np.float64) - z.max())
    exact /= exact.sum()
    prediction = Prediction(z, table, 100)
    two = np.sort(exact)[-2:]

    assert prediction.entropy == pytest.approx(-(exact * np.log(exact)).sum(), abs=1e-4)
    assert prediction.margin == pytest.approx(two[1] - two[0], abs=1e-5)


@pytest.mark.parametrize(
    ("gate", "threshold", "sure"),
    [
        ("top1", 0.49, True),
        ("top1", 0.51, False),
        ("margin", 0.24, True),
        ("margin", 0.26, False),
        ("entropy", 0.35, True),
        ("entropy", 0.36, False),
    ],
)
def test_every_gate_compares_its_measure_with_the_threshold(gate, threshold, sure):
    """0.5, 0.25 and 0.25 is 0.5, 0.25 or 0.354; first steps and a silent base are never sure."""
    blend_settings = BlendSettings(gate=gate, threshold=threshold, always_first=2)
    prediction = predict({b"a": 0.5, b"b": 0.25, b"c": 0.25})
    quiet = predict({b"a": 0.45, SILENT: 0.55})

    assert is_certain(prediction, blend_settings, AnswerState(steps=2)) == sure
    assert not is_certain(prediction, blend_settings, AnswerState(steps=1))
    assert not is_certain(quiet, blend_settings, AnswerState(steps=9))


@given(
    distributions.map(ordered),
    st.sets(pieces),
    distributions.map(ordered),
    st.sampled_from([1.0, 0.5]),
    st.sampled_from([1.0, 0.8]),
)
@settings(deadline=None, max_examples=30)
def test_two_draws_from_one_number_have_the_right_shares(first, accepted, second, temperature, top_p):
    """Over a fine grid of numbers, each candidate comes as often as two independent draws would give it."""
    sampling = SamplingSettings(temperature=temperature, top_p=top_p)
    options = Redrawn(first, accepted, second)
    n = 2000
    drawn = [sample_again(options, sampling, (i + 0.5) / n) for i in range(n)]
    f, g = (tempered(spread, sampling) for spread in (first, second))
    rejected = sum(p for s, p in f.items() if s not in accepted)

    for s in {*first, *second}:
        expected = (f.get(s, 0.0) if s in accepted else 0.0) + rejected * g.get(s, 0.0)
        assert drawn.count(s) / n == pytest.approx(expected, abs=0.02)
    if (temperature, top_p) == (1.0, 1.0):
        assert options.rejected_mass == pytest.approx(rejected)
        told = options.distribution()
        assert all(drawn.count(s) / n == pytest.approx(told.get(s, 0.0), abs=0.02) for s in first | second)


def tempered(spread, sampling):
    """P^(1/T) over the smallest head of enough mass, normalised."""
    kept, reached = {}, 0.0
    for s, p in spread.items():
        kept[s] = p ** (1 / sampling.temperature)
        reached += p
        if sampling.top_p < 1 and reached >= sampling.top_p * sum(spread.values()):
            break
    return {s: w / sum(kept.values()) for s, w in kept.items()}
