"""Laws of going back, driven step by step: what stays, what is evaluated again, and what the logits then are.

Every kind of memory answers them, compared with a context of llama.cpp's own that reads the tokens at once.
"""

from __future__ import annotations

import numpy as np
import pytest

from blendin_local.engine import context as contexts
from blendin_local.engine.context import Context
from blendin_local.engine.library import library, set_fields
from blendin_local.engine.model import Model
from blendin_local.engine.rewind import CHECKPOINT_EVERY
from blendin_local.engine.sequence import common_prefix
from blendin_local.settings import ModelSettings
from blendin_local.testing import check_engine, check_rewind
from tests.toys import make_toy

MEMORIES = {  # the kind of toy, and whether its sliding-window cache keeps every position
    "plain": ("plain", True),
    "windows, all kept": ("sliding", True),
    "windows only": ("sliding", False),
    "recurrent": ("recurrent", True),
    "hybrid": ("hybrid", True),
}
CHECKPOINTED = ("recurrent", "hybrid")
WINDOW, SMALL_BATCH, SMALL_CACHE = 64, 64, 256  # cells: window and batch, rounded up by llama.cpp
TOLERANCE = 1e-4  # float32 all through; one token changed sixty places back moves the logits by more
PROMPT, ANSWER = 40, 70
TEXT = "hello world. the hell or a wheel\nof the old world he told the whole hello or the world."


class Bench:
    """A toy under test, beside llama.cpp alone."""

    def __init__(self, path, *, swa_full):
        self.settings = ModelSettings(kv_type="f32", flash_attention="off", swa_full=swa_full)
        self.model = Model(path, self.settings)
        self.vocabulary = self.model.vocabulary
        self._opened = []

    def open(self, ctx_size=1024, n_parallel=1):
        self._opened.append(Context(self.model, ctx_size, 1, n_parallel))
        return self._opened[-1]

    def walked(self, ids, n_prompt=PROMPT):
        """A sequence that has read a prompt, then accepted and read the rest token by token."""
        context = self.open()
        [sequence] = context.sequences
        sequence.begin(ids[:n_prompt])
        context.predict([sequence])
        for token in ids[n_prompt:]:
            sequence.accept(token, self.vocabulary.pieces[token])
            context.predict([sequence])
        return context, sequence

    def close(self):
        while self._opened:
            self._opened.pop().close()

    def plain(self, ids):
        """The logits after these tokens, by llama.cpp's functions and nothing else."""
        api = library().api
        parameters = api.llama_context_default_params()
        set_fields(
            parameters,
            n_ctx=1024,
            n_batch=1024,
            n_ubatch=1024,
            n_threads=1,
            n_threads_batch=1,
            flash_attn_type=0,
            type_k=0,
            type_v=0,
            swa_full=True,
        )
        handle = api.llama_init_from_model(self.model.handle, parameters)
        tokens = (api.llama_token * len(ids))(*ids)
        assert api.llama_decode(handle, api.llama_batch_get_one(tokens, len(ids))) == 0
        row = api.llama_get_logits_ith(handle, -1)
        logits = np.ctypeslib.as_array(row, (self.vocabulary.n_tokens,)).copy()
        api.llama_free(handle)
        return logits


@pytest.fixture(params=MEMORIES)
def memory(request):
    """Which memory the toy under test has."""
    return request.param


@pytest.fixture
def bench(memory, tmp_path):
    """The toy under test."""
    kind, swa_full = MEMORIES[memory]
    opened = Bench(make_toy(tmp_path / "toy.gguf", kind), swa_full=swa_full)
    yield opened
    opened.close()
    opened.model.close()


def ids_of(n, seed=0):
    return np.random.default_rng(seed).integers(3, 270, n).tolist()


def reads(context, sequence):
    """What one prediction evaluates, and its logits; the sequence then holds its tokens and no others."""
    before = context.counter.tokens, sequence.counter.tokens
    logits = context.predict([sequence])[0].copy()
    assert sequence.n_valid == sequence.n_cached == len(sequence.ids)
    evaluated = context.counter.tokens - before[0]
    assert sequence.counter.tokens - before[1] == evaluated
    return evaluated, logits


def last_position(context, sequence):
    api = library().api
    return api.llama_memory_seq_pos_max(api.llama_get_memory(context.handle), sequence.seq_id)


def check_left(memory, left, keep, n):
    """What a memory that has read a prompt and an answer may keep, when `keep` tokens are wanted of `n`."""
    if memory not in CHECKPOINTED:  # of the windows, all are still in the cache
        assert left == keep
    elif keep < PROMPT - 1:
        assert left == 0  # there is no state inside the prompt
    else:
        assert PROMPT - 1 <= left <= keep  # a prompt is never read again for its own answer
        assert n - keep > CHECKPOINT_EVERY or keep - left < CHECKPOINT_EVERY  # nor much of a long answer


@pytest.mark.slow
def test_going_back_any_distance_leaves_no_trace(bench, memory):
    """From every place the tokens read again give the logits they have in a fresh context."""
    ids = ids_of(PROMPT + ANSWER)

    rewound = check_rewind(
        lambda: watched(Context(bench.model, 1024, 1)),
        ids,
        n_prompt=PROMPT,
        expected=bench.plain(ids),
        tolerance=TOLERANCE,
    )

    assert [rewind.keep for rewind in rewound] == list(range(1, len(ids)))
    for rewind in rewound:
        check_left(memory, rewind.left, rewind.keep, len(ids))
        assert rewind.evaluated == len(ids) - rewind.left


def watched(context):
    """A context that compares each rewind with the positions that llama.cpp says are left."""
    rewind = context.rewind

    def compared(sequence, keep):
        rewind(sequence, keep)
        assert sequence.n_cached == last_position(context, sequence) + 1

    context.rewind = compared
    return context


@pytest.mark.parametrize("memory", MEMORIES, indirect=True)
def test_every_kind_of_memory_keeps_the_laws_of_an_engine(bench):
    """What is shipped for others holds for the toys: tokenization, and rewinds in an answer."""
    check_engine(lambda: Context(bench.model, 1024, 1), bench.vocabulary, tolerance=TOLERANCE)


@pytest.mark.slow
def test_an_answer_changed_at_any_place_is_read_from_there(bench, memory):
    """Whatever an answer is changed into, tokens stay up to the first that differs, and the rest is read."""
    prompt = ids_of(PROMPT)
    told = bench.vocabulary.tokenize_following(TEXT)
    for at in range(len(TEXT) + 1):
        text = (TEXT[:at], TEXT[:at] + " dolly", TEXT[:at] + "x" + TEXT[at:])[at % 3]
        context, sequence = bench.walked([*prompt, *told])

        sequence.sync_text(text.encode())

        tokens = bench.vocabulary.tokenize_following(text)
        assert (sequence.ids, sequence.text) == ([*prompt, *tokens], text.encode())
        assert sequence.n_valid == PROMPT + common_prefix(told, tokens)
        left = min(sequence.n_valid, len(sequence.ids) - 1)
        evaluated, logits = reads(context, sequence)
        if memory in CHECKPOINTED:
            assert len(sequence.ids) - left <= evaluated <= len(tokens) + 1
        else:
            assert evaluated == len(sequence.ids) - left
        assert logits == pytest.approx(bench.plain(sequence.ids), abs=TOLERANCE)
        bench.close()


@pytest.mark.slow
@pytest.mark.parametrize("memory", CHECKPOINTED)
def test_checkpoints_along_an_answer_are_used(bench):
    """An answer that came word by word from elsewhere is read again from near the place it goes back to."""
    prompt, words = ids_of(PROMPT), [f"{'hello' * (1 + i % 3)}. " for i in range(24)]
    ends = [len("".join(words[:n])) for n in range(1, len(words) + 1)]
    for back in ends[1:]:
        context = bench.open()
        [sequence] = context.sequences
        sequence.begin(prompt)
        context.predict([sequence])
        for end in ends:
            sequence.sync_text("".join(words)[:end].encode())
            context.predict([sequence])
        n = len(sequence.ids)

        sequence.sync_text(("".join(words)[:back] + "x").encode())

        kept = sequence.n_valid
        evaluated, logits = reads(context, sequence)
        distance = n - kept
        if distance <= CHECKPOINT_EVERY:
            longest_word = max(len(bench.vocabulary.tokenize_following(word)) for word in words)
            assert (
                evaluated
                <= len(sequence.ids) - kept + CHECKPOINT_EVERY + longest_word
                < len(sequence.ids) - PROMPT
            )
        assert evaluated <= len(sequence.ids) - PROMPT + 1
        assert logits == pytest.approx(bench.plain(sequence.ids), abs=TOLERANCE)
        bench.close()


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["windows only"])
def test_a_window_is_kept_while_it_is_whole_and_not_longer(bench, monkeypatch):
    """A small cache goes back to places whose whole window it still holds; from others all is read again."""
    monkeypatch.setattr(contexts, "batch_tokens", lambda *_: SMALL_BATCH)
    api, ids = library().api, ids_of(420)
    expected = bench.plain(ids)
    kept = []
    for keep in (*range(1, 140, 23), *range(140, 420, 3)):
        context, sequence = bench.walked(ids)
        oldest = api.llama_memory_seq_pos_min(api.llama_get_memory(context.handle), 0)
        assert oldest > 0

        context.rewind(sequence, keep)

        whole = oldest <= keep - WINDOW
        assert sequence.n_cached == sequence.n_valid == (keep if whole else 0)
        evaluated, logits = reads(context, sequence)
        assert evaluated == len(ids) - (keep if whole else 0)
        assert logits == pytest.approx(expected, abs=TOLERANCE)
        kept += [keep] * whole
        bench.close()
    assert min(kept) <= len(ids) - SMALL_CACHE + 2 * WINDOW
    assert len(kept) < 90


def test_own_tokens_stay_before_the_place_where_text_changes(bench, memory):
    """Tokens a model chose itself are kept, unlike those of tokenized text, up to the last safe boundary."""
    prompt, said = ids_of(PROMPT), [3 + byte for byte in b"hello world the hell or"]
    context, sequence = bench.walked([*prompt, *said])
    assert sequence.text == b"hello world the hell or"

    sequence.sync_text(b"hello world the hell of a wheel")

    kept = len(b"hello world the hell")
    tail = bench.vocabulary.tokenize_following(" of a wheel")
    assert sequence.ids == [*prompt, *said[:kept], *tail]
    assert sequence.n_valid == PROMPT + kept + common_prefix(said[kept:], tail)
    _, logits = reads(context, sequence)
    assert logits == pytest.approx(bench.plain(sequence.ids), abs=TOLERANCE)


WORDS = ["hello", " world", " the", "\n", ".", " hell", "o", " a", "é", "😊", "  ", " or"]


class Wanderer:
    """Changes one sequence at random, and checks what each change promises."""

    def __init__(self, rng, sequence, vocabulary):
        self.rng, self.sequence, self.vocabulary = rng, sequence, vocabulary
        sequence.begin(self.some_ids())

    def some_ids(self, most=150):
        return self.rng.integers(3, 270, int(self.rng.integers(2, most))).tolist()

    def change(self):
        """One change; the prompt stays but for a new one, and the tokens always say the text."""
        sequence = self.sequence
        if len(sequence.ids) > 600:
            self.begin()
        else:
            change = self.rng.choice(
                ["accept"] * 6 + ["sync_text"] * 6 + ["restart", "begin", "anew", "turn"]
            )
            getattr(self, change)()
        said = b"".join(self.vocabulary.pieces[token] for token in sequence.ids[sequence.n_prompt :])
        assert said == sequence.text
        assert sequence.n_valid <= min(sequence.n_cached, len(sequence.ids))

    def accept(self):
        token = int(self.rng.integers(3, 270))
        ids = [*self.sequence.ids, token]
        self.sequence.accept(token, self.vocabulary.pieces[token])
        assert self.sequence.ids == ids

    def sync_text(self):
        prompt, valid = self.sequence.ids[: self.sequence.n_prompt], self.sequence.n_valid
        keep = len(self.sequence.text) - int(self.rng.integers(0, 30))
        words = self.rng.choice(WORDS, int(self.rng.integers(1, 9)))
        text = self.sequence.text[: max(0, keep)].decode(errors="replace") + "".join(words)
        self.sequence.sync_text(text.encode())
        assert self.sequence.text == text.encode()
        assert self.sequence.ids[: self.sequence.n_prompt] == prompt
        assert self.sequence.n_valid >= min(valid, self.sequence.n_prompt)

    def restart(self):
        prompt, valid = self.sequence.ids[: self.sequence.n_prompt], self.sequence.n_valid
        self.sequence.restart()
        assert self.sequence.ids == prompt
        assert self.sequence.n_valid == min(valid, len(prompt))

    def begin(self):
        prompt = self.sequence.ids[: int(self.rng.integers(0, self.sequence.n_prompt + 1))] + self.some_ids()
        self.sequence.begin(prompt)
        assert self.sequence.ids == prompt

    def anew(self):
        prompt = self.sequence.ids[: int(self.rng.integers(0, self.sequence.n_prompt + 1))] + self.some_ids()
        self.sequence.start_fresh(prompt)
        assert self.sequence.ids == prompt

    def turn(self):
        ids, valid, more = list(self.sequence.ids), self.sequence.n_valid, self.some_ids(40)
        self.sequence.freeze()
        self.sequence.extend_prompt(more)
        assert (self.sequence.ids, self.sequence.n_valid) == ([*ids, *more], valid)


@pytest.mark.slow
@pytest.mark.parametrize("n_parallel", [1, 3])
def test_logits_are_those_of_the_tokens_whatever_the_way_there(bench, monkeypatch, n_parallel):
    """After any changes to any sequences, read in between or not, a prediction is that of a fresh context."""
    monkeypatch.setattr(contexts, "batch_tokens", lambda *_: 2 * SMALL_BATCH)  # a window's cache is soon full
    rng = np.random.default_rng(n_parallel)
    context = bench.open(n_parallel=n_parallel)
    wanderers = [Wanderer(rng, sequence, bench.vocabulary) for sequence in context.sequences]
    for _ in range(150):
        for wanderer in rng.choice(wanderers, int(rng.integers(1, 4))):
            wanderer.change()
        asked = [sequence for sequence in context.sequences if n_parallel == 1 or rng.random() < 0.5]
        rows = [row.copy() for row in context.predict(asked)] if asked else []
        for sequence, row in zip(asked, rows, strict=True):
            assert (
                sequence.n_valid
                == sequence.n_cached
                == len(sequence.ids)
                == last_position(context, sequence) + 1
            )
            assert row == pytest.approx(bench.plain(sequence.ids), abs=TOLERANCE)
    assert context.counter.tokens == sum(sequence.counter.tokens for sequence in context.sequences)
