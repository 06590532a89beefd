"""Laws of contexts, for every kind of memory: other prompts, sequences and interruptions leave no trace.

What going back within a prompt and its answer leaves: `test_rewind`.
"""

import threading

import numpy as np
import pytest

from blendin_local.engine.context import Context, StoppedError
from blendin_local.engine.model import MemoryKind, Model
from blendin_local.engine.sequence import PREFILL_CHUNK
from blendin_local.errors import ContextFullError, LoadError
from blendin_local.settings import ModelSettings
from tests.toys import make_toy

TOLERANCE = 2e-3  # random toy weights, float32: batch shapes differ, memory must not


@pytest.fixture
def toy(toy_path):
    model = Model(toy_path, ModelSettings())
    contexts = []

    def open_context(ctx_size=512, sequences=1):
        contexts.append(Context(model, ctx_size, 1, sequences))
        return contexts[-1]

    yield open_context
    for context in contexts:
        context.close()
    model.close()


def ids_of(n, seed=0):
    return np.random.default_rng(seed).integers(3, 270, n).tolist()


def logits_after(context, ids, sequence=0):
    sequence = context.sequences[sequence]
    sequence.begin(ids)
    return context.predict([sequence])[0].copy()


def test_a_cached_context_equals_one_that_reads_everything(toy):
    """After any prompts, whatever they share, the bits are those of a context that read only the last."""
    rng = np.random.default_rng(1)
    context = toy()
    ids, saved = ids_of(400), 0
    for turn in range(25):
        keep = int(rng.integers(0, len(ids) + 1))
        ids = (ids[:keep] + ids_of(int(rng.integers(1, 300)), seed=turn))[:500]

        fresh = toy()
        before = context.counter.tokens
        assert (logits_after(context, ids) == logits_after(fresh, ids)).all()
        saved += fresh.counter.tokens - (context.counter.tokens - before)
    assert saved > (1000 if context.model.memory_kind in {MemoryKind.PLAIN, MemoryKind.SLIDING} else -1)


def evaluated(context, ids):
    before = context.counter.tokens
    logits_after(context, ids)
    return context.counter.tokens - before


def test_the_same_prompt_again_reads_one_token_and_gives_the_same_bits(toy):
    """Asked again, a prompt costs one token, and its logits are the same to the last bit."""
    context, ids = toy(), ids_of(200)
    first = logits_after(context, ids)

    assert evaluated(context, ids) == 1
    assert (logits_after(context, ids) == first).all()


def test_another_prompt_keeps_the_portions_it_shares(toy):
    """Whole chunks of a shared beginning are kept, and the bits are those of a fresh context."""
    context, ids = toy(), ids_of(300)
    other = [*ids[:200], *ids_of(50, seed=9)]
    logits_after(context, ids)

    exact = context.model.memory_kind in {MemoryKind.PLAIN, MemoryKind.SLIDING}
    assert evaluated(context, other) == (250 - PREFILL_CHUNK if exact else 250)
    assert (logits_after(context, other) == logits_after(toy(), other)).all()


def test_an_answer_begun_anew_has_the_bits_of_a_fresh_context(toy):
    """What a conversation read in other shapes, turn by turn, is not kept for an answer that starts anew."""
    context, fresh, ids = toy(), toy(), ids_of(300)
    sequence = context.sequences[0]
    logits_after(context, ids[:130])
    for token in ids[130:140]:
        sequence.accept(token, b"?")
        context.predict([sequence])
    sequence.freeze()
    sequence.extend_prompt(ids[140:])
    context.predict([sequence])
    before = context.counter.tokens

    sequence.start_fresh(ids)

    anew = context.predict([sequence])[0].copy()
    assert (anew == logits_after(fresh, ids)).all()
    assert context.counter.tokens - before == 300
    sequence.start_fresh(ids)
    assert (context.predict([sequence])[0] == anew).all()
    assert context.counter.tokens - before == 301


def test_the_last_token_of_a_shared_prompt_is_read_apart(toy):
    """A prompt that is the beginning of another, or goes on from it, has the bits of a fresh context."""
    for shorter in (PREFILL_CHUNK, PREFILL_CHUNK + 1, PREFILL_CHUNK + 2, 2 * PREFILL_CHUNK + 1):
        ids = ids_of(2 * PREFILL_CHUNK + 40, seed=shorter)
        context = toy()
        for n in (len(ids), shorter, len(ids), shorter):
            assert (logits_after(context, ids[:n]) == logits_after(toy(), ids[:n])).all()


def test_sequences_do_not_disturb_each_other(toy):
    """Several conversations in one context get the logits they get alone."""
    context = toy(256, 3)
    prompts = [ids_of(n, seed=n) for n in (5, 40, 17)]
    for sequence, ids in zip(context.sequences, prompts, strict=True):
        sequence.begin(ids)

    together = [row.copy() for row in context.predict(context.sequences)]

    for row, ids in zip(together, prompts, strict=True):
        assert row == pytest.approx(logits_after(toy(256), ids), abs=TOLERANCE)


def test_a_full_context_is_an_error_with_both_numbers(toy):
    """The message says how long the prompt is and how much the context holds."""
    context = toy(64)

    with pytest.raises(ContextFullError, match="100 tokens, but the context holds 64"):
        logits_after(context, ids_of(100))


def test_a_stopped_evaluation_leaves_the_context_right(toy):
    """After an interruption in the middle of a prompt the next evaluation is as if nothing had happened."""
    context = toy(2048)
    ids = ids_of(1500)
    polls = iter(range(10**9))
    context.sequences[0].begin(ids)

    with pytest.raises(StoppedError):
        context.predict([context.sequences[0]], lambda: next(polls) > 20)

    assert logits_after(context, ids) == pytest.approx(logits_after(toy(2048), ids), abs=TOLERANCE)


def test_a_context_may_be_driven_from_another_thread(toy):
    """Nothing is bound to the main thread."""
    results = []
    worker = threading.Thread(target=lambda: results.append(logits_after(toy(), ids_of(10))))
    worker.start()
    worker.join()

    assert len(results) == 1


def test_a_small_window_is_rewound_only_while_it_is_whole(tmp_path):
    """With a sliding-window cache of small size a long rewind reads again instead of being silently wrong."""
    path = make_toy(tmp_path / "sliding.gguf", "sliding")
    ids = ids_of(1900)
    model = Model(path, ModelSettings(swa_full=False))
    context, fresh = Context(model, 2048, 1), Context(model, 2048, 1)
    logits_after(context, ids)

    cached = logits_after(context, ids[:300])

    assert cached == pytest.approx(logits_after(fresh, ids[:300]), abs=TOLERANCE)
    assert context.counter.tokens == 1900 + 300
    for closed in (context, fresh):
        closed.close()
    model.close()


def test_an_impossible_context_is_a_load_error(toy_path):
    """llama.cpp's refusal becomes one error with its reason."""
    model = Model(toy_path, ModelSettings())
    try:
        with pytest.raises(LoadError, match="no context of"):
            Context(model, 256, 1, n_parallel=300)
    finally:
        model.close()


def test_a_draft_is_read_in_one_call_with_the_logits_after_each_token(toy):
    """They are those of one token at a time; a longer draft than one call has room for is cut."""
    context, single = toy(), toy()
    ids, draft = ids_of(30), ids_of(40, seed=9)
    [sequence], [other] = context.sequences, single.sequences
    sequence.begin(ids)
    sequence.draft = list(draft)
    while not (ready := context.advance([sequence])):
        pass
    rows = [row.copy() for row in ready[sequence]]

    assert len(rows) == context.max_rows
    assert sequence.draft == draft[: context.max_rows - 1]
    other.begin(ids)
    for row, token in zip(rows, draft, strict=False):
        assert row == pytest.approx(single.predict([other])[0], abs=0.01)
        other.accept(token, b"x")


@pytest.mark.parametrize("n_right", [0, 2, 5])
def test_what_came_true_of_a_draft_stays_and_the_rest_goes(toy, n_right):
    """Whatever was guessed, the logits afterwards are those of a context that was never told the guess."""
    context, single = toy(), toy()
    ids, draft = ids_of(30), ids_of(5, seed=9)
    [sequence], [other] = context.sequences, single.sequences
    sequence.begin(ids)
    sequence.draft = list(draft)
    while not context.advance([sequence]):
        pass
    other.begin(ids)
    said = [*draft[:n_right], 7, 8]
    for token in said:
        sequence.accept(token, b"x")
        other.accept(token, b"x")
    read = context.counter.tokens

    logits = context.predict([sequence])[0]

    assert context.counter.tokens - read == 2 or not context.rewinder.drops_any_tail
    assert logits == pytest.approx(single.predict([other])[0], abs=0.01)
