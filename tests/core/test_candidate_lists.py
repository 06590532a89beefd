"""The candidate list against a slow twin that pools and sorts the whole vocabulary."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blendin_local.core.candidates import END, TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.errors import PairError

SIZES = st.sampled_from([3, 40, 700, 2016, 2017, 4096, 9000])


def vocabulary(n, rng, twins, ends, silent):
    """Random places for ids with equal bytes, ends and ids without bytes; all may be among the likeliest."""
    pieces = [b"%d" % i for i in range(n)]
    for twin, original in rng.integers(0, n, (twins, 2)):
        pieces[twin] = pieces[original]
    for i in rng.integers(0, n, silent):
        pieces[i] = b""
    end_ids = {int(i) for i in rng.integers(0, n, ends)}
    fallback_ids = {int(i) for i in rng.integers(0, n, twins)}
    return TokenTable.build(pieces, end_ids, fallback_ids)


def logits_of(kind, n, rng):
    if kind == "many ties":
        return rng.integers(-3, 3, n).astype(np.float32)
    z = (3 * rng.standard_normal(n)).astype(np.float32)
    if kind == "minus infinity":
        z[rng.random(n) < 0.97] = -np.inf
        z[0] = 1.0
    return {"far": z - np.float32(400), "steep": z * np.float32(20), "flat": z / np.float32(1e6)}.get(kind, z)


def slow_twin(logits, table, top_k):
    """Probabilities by id: the whole vocabulary, pooled one id at a time and sorted, the smaller id first."""
    peak = float(logits.max())
    weights = np.exp(logits - np.float32(0 if abs(peak) < 60 else peak))
    total = weights.sum(dtype=np.float64)
    pooled = weights.copy()
    for duplicate, canonical in zip(table.duplicate_ids, table.canonical_ids, strict=True):
        pooled[canonical] += pooled[duplicate]
        pooled[duplicate] = 0
    if len(table.end_ids):
        pooled[table.end_ids] = 0
        pooled[table.end_ids[0]] = weights[table.end_ids].sum()
    pooled[table.silent_ids] = 0
    best = sorted(range(len(logits)), key=lambda i: (-pooled[i], i))[:top_k]
    return {i: float(pooled[i]) / total for i in best if pooled[i] > 0}


@settings(deadline=None, max_examples=150)
@given(
    SIZES,
    st.sampled_from(["plain", "many ties", "minus infinity", "far", "steep", "flat"]),
    st.integers(1, 120),
    st.tuples(st.integers(0, 60), st.integers(0, 4), st.integers(0, 300)),
    st.integers(0, 9999),
)
@example(4096, "plain", 100, (60, 3, 300), 0)
@example(9000, "many ties", 100, (60, 3, 300), 1)
def test_the_list_equals_a_full_sort(n, kind, top_k, special, seed):
    """The same candidates in the same order, whatever has twins, ends, no bytes, equal or no weight."""
    rng = np.random.default_rng(seed)
    table, logits = vocabulary(n, rng, *special), logits_of(kind, n, rng)
    expected = slow_twin(logits, table, top_k)

    prediction = Prediction(logits, table, top_k)

    found = {table.pieces[i] if table.pieces[i] else END: p for i, p in expected.items()}
    assert list(prediction.candidates) == list(found)
    assert list(prediction.candidates.values()) == pytest.approx(list(found.values()), rel=2e-6)
    others = [(i, piece) for i, piece in zip(expected, found, strict=True) if piece != prediction.top]
    assert all(prediction.id_of(piece) == i for i, piece in others)


@settings(deadline=None, max_examples=150)
@given(SIZES, st.sampled_from(["plain", "many ties", "minus infinity", "far", "steep"]), st.integers(0, 9999))
def test_the_top_candidate_is_the_first_speakable_peak(n, kind, seed):
    """Top-1 is that of the full softmax in double precision, the smaller id among equals."""
    rng = np.random.default_rng(seed)
    table, logits = vocabulary(n, rng, 9, 2, n // 3), logits_of(kind, n, rng)
    z = logits.astype(np.float64)
    softmax = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    speakable = np.where(table.speakable, z, -np.inf)

    prediction = Prediction(logits, table, 5)

    assert prediction.top_id == int(speakable.argmax())
    assert prediction.top_p == pytest.approx(softmax[prediction.top_id], rel=3e-6, abs=1e-37)


@pytest.mark.parametrize(("twins", "silent"), [(0, 0), (60, 300)])
def test_an_ordinary_list_needs_no_pass_over_the_vocabulary(twins, silent):
    """The pooled weights of all ids are not made for it."""
    rng = np.random.default_rng(5)
    table = vocabulary(9000, rng, twins, 3, silent)
    prediction = Prediction(logits_of("plain", 9000, rng), table, 100)

    assert len(prediction.candidates) == 100
    assert "_pooled" not in vars(prediction)


@pytest.mark.parametrize("twins", [0, 150])
def test_silent_ids_may_be_the_likeliest_of_all(twins):
    """With more of them than are looked at, the list is complete, and unlikely twins do not fill it."""
    pieces = [b""] * 200 + [b"%d" % i for i in range(8800)]
    pieces[9000 - twins :] = pieces[9000 - 2 * twins : 9000 - twins]
    logits = np.linspace(9, -9, 9000, dtype=np.float32)

    assert list(Prediction(logits, TokenTable.build(pieces, []), 100).candidates) == pieces[200:300]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("at", [0, 4000, 4099])
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(bad, at):
    """Also in the last numbers, which fill no column."""
    logits = np.zeros(4100, np.float32)
    logits[at] = bad

    with pytest.raises(PairError, match="not finite"), np.errstate(invalid="ignore"):
        Prediction(logits, TokenTable.build([b"%d" % i for i in range(4100)], []), 10)
