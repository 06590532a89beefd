"""Batches are filled up where that was measured to be faster, and what fills them leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.engine.context import Context
from blendin_local.engine.model import MemoryKind, Model
from blendin_local.engine.padding import MAX_PADDING, TRY_EVERY, WORTH_IT, BatchSizes
from blendin_local.settings import ModelSettings

LIMIT = 16
IN_FOURS = {n: (-(-n // 4) + 0.5 * (n % 4 > 0)) / 100 for n in range(1, LIMIT + 1)}  # 5 costs more than 8


@pytest.fixture
def toy(toy_path):
    opened = []

    def open_context(sequences=8, **settings):
        model = Model(toy_path, ModelSettings(**settings))
        opened.append((Context(model, 256, 1, sequences), model))
        return opened[-1][0]

    yield open_context
    for context, model in opened:
        context.close()
        model.close()


def run(sizes, costs, wanted, limit=LIMIT):
    """Evaluate batches of these sizes, at these costs; the sizes that were run."""
    ran = []
    for n in wanted:
        ran.append(sizes.best(n, limit))
        sizes.note(ran[-1], costs[ran[-1]])
    return ran


def test_a_number_that_costs_more_than_the_next_ones_is_avoided():
    """After a few trials six tokens are run as eight, and eight as eight."""
    sizes = BatchSizes()
    run(sizes, IN_FOURS, [5, 6, 7, 8] * 9)

    assert [sizes.best_known(n, LIMIT) for n in (5, 6, 7, 8)] == [8, 8, 8, 8]
    assert sizes.best_known(6, 7) == 6, "no more tokens than there is room for"


@given(
    st.lists(st.floats(0.001, 1), min_size=LIMIT, max_size=LIMIT),
    st.lists(st.integers(1, LIMIT), min_size=1, max_size=200),
)
def test_a_batch_is_never_larger_without_a_reason(seconds, wanted):
    """Whatever sizes cost: each is at least what is wanted, and but for rare trials none costs more."""
    costs, sizes = dict(enumerate(seconds, 1)), BatchSizes()
    ran = run(sizes, costs, wanted)

    assert all(n <= size <= LIMIT for n, size in zip(wanted, ran, strict=True))
    for n in set(wanted):
        dearer = [
            size for each, size in zip(wanted, ran, strict=True) if each == n and costs[size] > costs[n]
        ]
        assert len(dearer) <= wanted.count(n).bit_length() + wanted.count(n) // TRY_EVERY
        assert n > 1 or not dearer


@given(st.lists(st.floats(0.001, 1), min_size=LIMIT, max_size=LIMIT), st.integers(2, LIMIT))
def test_the_cheapest_of_the_next_sizes_is_found(seconds, n):
    """A number that is wanted for long is run at the least of its own cost and those next to it."""
    costs, sizes = dict(enumerate(seconds, 1)), BatchSizes()
    run(sizes, costs, [n] * 2**MAX_PADDING)

    best = min(costs[size] for size in range(n, min(LIMIT, n + MAX_PADDING) + 1))
    assert WORTH_IT * costs[sizes.best_known(n, LIMIT)] <= best


def test_trials_become_rare():
    """Where no larger batch pays, one evaluation in many is a trial."""
    ran = run(BatchSizes(), {n: n / 100 for n in IN_FOURS}, [6] * 500)

    assert 3 <= sum(size > 6 for size in ran) <= 10


def test_costs_that_change_are_measured_again():
    """Where a larger batch no longer pays, it is noticed after a while."""
    sizes = BatchSizes()
    run(sizes, IN_FOURS, [6] * 16)
    assert sizes.best_known(6, LIMIT) == 8
    run(sizes, {n: n / 1000 for n in IN_FOURS}, [6] * 4000)

    assert sizes.best_known(6, LIMIT) == 6


def test_rows_of_unknown_cost_give_way_to_known_ones():
    """Where more tokens are in a batch anyway, logits are computed for a number that has been measured."""
    sizes = BatchSizes()
    assert sizes.rows(3, 4) == 3
    run(sizes, IN_FOURS, [4])
    assert (sizes.rows(3, 4), sizes.rows(3, 3), sizes.rows(0, 4)) == (4, 3, 0)
    sizes.note(3, IN_FOURS[4] / 2)
    assert sizes.rows(3, 4) == 3


def pad_to(context, n):
    """Make every batch of single tokens one of n tokens."""
    context._padding._sizes.best = lambda wanted, limit: max(wanted, min(limit, n))
    context._padding._sizes.rows = lambda wanted, limit: max(wanted, min(limit, n))


def talk(context, spare, n_steps=6):
    """Three sequences go on by a token each, with others to spare; the logits after each step."""
    rows = []
    sequences = context.sequences[:3]
    for number, sequence in enumerate(sequences):
        sequence.begin(np.random.default_rng(number).integers(3, 270, 9 + number).tolist())
    context.predict(sequences)
    for step in range(n_steps):
        for number, sequence in enumerate(sequences):
            sequence.accept(40 + step + number, b"x")
        ready = context.advance(sequences, spare=spare)
        rows += [ready[sequence][0].copy() for sequence in sequences if sequence in ready]
    return rows


def test_padding_changes_no_answer_and_leaves_no_trace(toy):
    """Logits are those without it; spare sequences keep what they have read, and nothing is counted."""
    plain, padded = toy(), toy()
    pad_to(padded, 6)
    held = list(range(20, 50))
    for context in (plain, padded):
        context.sequences[4].begin(held)
        context.predict([context.sequences[4]])
    before = padded.counter.tokens
    tokens = []
    decode = padded._decode
    padded._decode = lambda *args: (tokens.append(padded._batch.n_tokens), decode(*args))

    pairs = zip(talk(plain, ()), talk(padded, padded.sequences[3:]), strict=True)

    assert all(ours == pytest.approx(theirs, abs=2e-3) for ours, theirs in pairs)
    if padded.rewinder.drops_any_tail:
        assert tokens[-1] == 6
    assert padded.counter.tokens - before == sum(s.counter.tokens for s in padded.sequences[:3])
    assert [sequence.n_cached for sequence in padded.sequences[3:]] == [0, 30, 0, 0, 0]
    for context in (plain, padded):
        context.sequences[4].accept(9, b"x")
    ours, theirs = (context.predict([context.sequences[4]])[0].copy() for context in (padded, plain))
    assert ours == pytest.approx(theirs, abs=2e-3)


def test_a_prompt_is_read_with_as_many_rows_as_known(toy):
    """Logits that nobody reads are computed after a prompt's first token, and the answers stay the same."""
    plain, padded = toy(), toy()
    pad_to(padded, 3)
    rows = []
    decode = padded._decode
    padded._decode = lambda *args: (rows.append(padded._batch.n_rows), decode(*args))
    read = []
    for context in (plain, padded):
        writing, reading = context.sequences[:2], context.sequences[2]
        for sequence in writing:
            sequence.begin([5, 6, 7 + sequence.seq_id])
        context.predict(writing)
        for sequence in writing:
            sequence.accept(9, b"x")
        reading.begin(list(range(20, 60)))
        ready = context.advance([*writing, reading])
        last = context.predict([reading])[0].copy()
        read.append([*(ready[sequence][0].copy() for sequence in writing if sequence in ready), last])

    assert 3 in rows
    for ours, theirs in zip(*read, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-3)


def test_a_sequence_with_two_tokens_counts_among_the_others(toy):
    """Sequences with a buffer each: their first tokens are evaluated at once, and so many logits computed.

    In one buffer two tokens of a sequence are no reason to compute more logits than are read.
    """
    context = toy()
    pad_to(context, 8)
    for sequence in context.sequences:
        sequence.begin([5, 6, 7 + sequence.seq_id])
    context.predict(context.sequences)
    for sequence in context.sequences:
        sequence.accept(9, b"x")
    context.sequences[3].accept(10, b"x")
    rows = []
    decode = context._decode
    context._decode = lambda *args: (rows.append(context._batch.n_rows), decode(*args))
    context.advance(context.sequences)

    split = context.model.memory_kind is MemoryKind.SLIDING
    assert rows == [9 if split else 8]


def test_a_full_spare_sequence_is_not_used(toy):
    """There is no room for one more token."""
    context = toy(4)
    pad_to(context, 4)
    context.sequences[3].begin([7] * context.ctx_size)
    context.predict([context.sequences[3]])

    assert talk(context, context.sequences[3:])
    assert context.sequences[3].n_cached == context.ctx_size


def test_reproducible_answers_have_no_padding(toy):
    """Their batches depend on no measurement."""
    context = toy(reproducible=True)
    pad_to(context, 6)
    tokens = []
    decode = context._decode
    context._decode = lambda *args: (tokens.append(context._batch.n_tokens), decode(*args))
    talk(context, context.sequences[3:])

    assert tokens[-1] == 3


def test_gaps_between_sequences_are_closed(toy):
    """The sequences in use get the first numbers, and go on as if they had always had them."""
    plain, moved = toy(), toy()
    logits = []
    for context in (plain, moved):
        in_use = [context.sequences[i] for i in (1, 4, 6)]
        for sequence in context.sequences:
            sequence.begin([5, 6, 7, *[8 + sequence.seq_id] * 20])
        context.predict(context.sequences)
        if context is moved:
            context.close_gaps(in_use)
        for sequence in in_use:
            sequence.accept(9, b"x")
        logits.append([each.copy() for each in context.predict(in_use)])
    numbers = sorted(moved.sequences[i].seq_id for i in (1, 4, 6))
    splits = moved.rewinder.can_copy and moved.model.memory_kind is MemoryKind.SLIDING

    assert numbers == ([0, 1, 2] if splits else [1, 4, 6])
    assert sorted(sequence.seq_id for sequence in moved.sequences) == list(range(8))
    for ours, theirs in zip(*logits, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-3)
    for sequence in moved.sequences:  # whoever lost something reads it again
        sequence.begin([5, 6, 7, *[8] * 20, 10, 11])
    expected = moved.predict([moved.sequences[1]])[0].copy()
    for sequence in moved.sequences:
        assert moved.predict([sequence])[0] == pytest.approx(expected, abs=0.02)
