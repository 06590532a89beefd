"""Laws of one model's distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from blendin_local.core.candidates import END, TokenTable
from blendin_local.core.distribution import Prediction, largest
from blendin_local.errors import PairError

floats = st.floats(-50, 50, width=32)


@given(hnp.arrays(np.float32, st.integers(1, 3000), elements=floats), st.integers(1, 120))
def test_largest_equals_a_full_sort(values, k):
    """The fast selection gives what sorting everything gives, ties included."""
    expected = np.argsort(-values, kind="stable")[:k]

    assert largest(values, k).tolist() == expected.tolist()


@pytest.mark.parametrize("n", [6400, 6463, 49_152])
@pytest.mark.parametrize("k", [1, 5, 99, 100, 101])
def test_largest_equals_a_full_sort_over_a_vocabulary(n, k):
    """So many values that whole columns are passed over, all different, or few values with many ties."""
    rng = np.random.default_rng(n + k)
    for values in (rng.normal(size=n), rng.integers(-3, 3, n), np.linspace(-1, 1, n), np.zeros(n)):
        logits = values.astype(np.float32)

        assert largest(logits, k).tolist() == np.argsort(-logits, kind="stable")[:k].tolist()


@given(
    st.lists(st.sampled_from([b"a", b"b", b"ab", b"", b" c", b"\xf0"]), min_size=2, max_size=40),
    st.data(),
)
def test_candidates_conserve_mass(pieces, data):
    """Joined by bytes, candidates carry exactly the mass of the speakable tokens."""
    end_ids = data.draw(st.sets(st.integers(0, len(pieces) - 1), min_size=1))
    logits = data.draw(hnp.arrays(np.float32, len(pieces), elements=st.floats(-5, 5, width=32)))
    table = TokenTable.build(pieces, end_ids)
    softmax = np.exp(logits.astype(np.float64))
    softmax /= softmax.sum()

    candidates = Prediction(logits, table, len(pieces)).candidates

    expected: dict[bytes, float] = {}
    for i, piece in enumerate(pieces):
        if i in end_ids or piece:
            key = END if i in end_ids else piece
            expected[key] = expected.get(key, 0.0) + softmax[i]
    assert candidates == pytest.approx(expected, rel=1e-4)
    assert list(candidates.values()) == sorted(candidates.values(), reverse=True)


@given(
    st.lists(st.sampled_from([b"a", b"b", b"ab", b"", b" c", b"\xf0"]), min_size=2, max_size=40),
    st.floats(0.2, 5),
    st.booleans(),
    st.data(),
)
def test_confidence_is_that_of_the_tempered_softmax(pieces, temperature, listed_first, data):
    """max_s of softmax(z / T) joined by bytes, whether or not the candidates were read before."""
    end_ids = data.draw(st.sets(st.integers(0, len(pieces) - 1), min_size=1))
    logits = data.draw(hnp.arrays(np.float32, len(pieces), elements=st.floats(-70, 70, width=32)))
    prediction = Prediction(logits, TokenTable.build(pieces, end_ids), len(pieces))
    if listed_first:
        assert prediction.confidence(1.0) == pytest.approx(max(prediction.candidates.values()), rel=1e-4)
    z = logits.astype(np.float64) / temperature
    tempered = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    joined: dict[bytes, float] = {}
    for i, piece in enumerate(pieces):
        if i in end_ids or piece:
            key = END if i in end_ids else piece
            joined[key] = joined.get(key, 0.0) + tempered[i]

    assert prediction.confidence(temperature) == pytest.approx(max(joined.values()), rel=1e-3, abs=1e-6)


def test_probabilities_beyond_the_list():
    """Any string of the vocabulary can be looked up, listed or not; twins and ends count once."""
    table = TokenTable.build([b"x", b"x", b"y", b"<1>", b"<2>", b"", b"xy"], end_ids=[3, 4], fallback_ids=[0])
    masses = np.array([0.1, 0.2, 0.3, 0.05, 0.15, 0.1, 0.1], np.float32)
    prediction = Prediction(np.log(masses) + 2, table, 1)  # logits may have any shift

    found = {piece: prediction.probability(piece) for piece in (b"x", b"y", b"xy", END, b"z")}

    assert found == pytest.approx({b"x": 0.3, b"y": 0.3, b"xy": 0.1, END: 0.2, b"z": None})
    assert table.ids == {b"x": 1, b"y": 2, END: 3, b"xy": 6}
    assert prediction.mass(table.beginning_with(b"x")) == pytest.approx(0.4)
    assert table.beginning_with(b"q").tolist() == []


def test_twins_are_summed_under_the_normal_token():
    """Two ids with the same bytes are one candidate, said by the token that is no byte fallback."""
    table = TokenTable.build([b"x", b"x", b"y"], end_ids=[], fallback_ids=[0])

    prediction = Prediction(np.log(np.array([0.3, 0.2, 0.5], np.float32)), table, 10)

    assert prediction.candidates == pytest.approx({b"x": 0.5, b"y": 0.5})
    assert prediction.id_of(b"x") == 1
    assert prediction.top == b"y"


def test_a_silent_peak_is_passed_over():
    """A control token is never the top candidate, and its mass is not given to others."""
    table = TokenTable.build([b"", b"a", b"b"], end_ids=[])

    prediction = Prediction(np.log(np.array([0.9, 0.07, 0.03], np.float32)), table, 10)

    assert prediction.top == b"a"
    assert prediction.top_p == pytest.approx(0.07)
    assert prediction.candidates == pytest.approx({b"a": 0.07, b"b": 0.03})


def test_all_ends_are_one_candidate():
    """Several end tokens are pooled into END."""
    table = TokenTable.build([b"<e1>", b"<e2>", b"a"], end_ids=[0, 1])

    prediction = Prediction(np.log(np.array([0.3, 0.3, 0.4], np.float32)), table, 10)

    assert prediction.candidates == pytest.approx({END: 0.6, b"a": 0.4})
    assert prediction.top == b"a"


@pytest.mark.parametrize("shift", [0.0, 500.0, -500.0])
def test_softmax_does_not_depend_on_a_shift(shift):
    """Adding a constant to all logits changes nothing, however large it is."""
    logits = np.array([1.0, 2.0, 3.0], np.float32) + np.float32(shift)
    table = TokenTable.build([b"a", b"b", b"c"], end_ids=[])

    prediction = Prediction(logits, table, 3)

    assert prediction.top_p == pytest.approx(0.66524, rel=1e-4)


def test_numbers_that_are_not_finite_are_refused():
    """A damaged model is reported, not sampled from."""
    table = TokenTable.build([b"a", b"b"], end_ids=[])

    with pytest.raises(PairError, match="not finite"):
        Prediction(np.array([np.nan, 1.0], np.float32), table, 2)
