"""However many tokens of a prompt are read at once: within one setting, the same bytes in the same shapes."""

from contextlib import closing

import numpy as np
import pytest

from blendin_local.engine.batch import n_outputs
from blendin_local.engine.context import Context
from blendin_local.engine.model import Model
from blendin_local.engine.prefill import batch_tokens, prefill_chunk
from blendin_local.settings import ModelSettings


def ids_of(n, seed=0):
    return np.random.default_rng(seed).integers(3, 270, n).tolist()


@pytest.fixture
def read_shapes(monkeypatch):
    """The number of tokens of every call since the list was cleared."""
    shapes, decode = [], Context._decode

    def note(self, slices, should_stop):
        shapes.append(self._batch.n_tokens)
        decode(self, slices, should_stop)

    monkeypatch.setattr(Context, "_decode", note)
    return shapes


@pytest.fixture(params=[None, 32, 200, 512, 700])
def model(request, toy_path):
    with closing(Model(toy_path, ModelSettings(ubatch_size=request.param))) as opened:
        yield opened


def test_a_prompt_is_read_in_the_same_shapes_whatever_was_read_before(model, read_shapes):
    """Whole chunks, then the last token apart; what is kept of another prompt is a number of whole chunks."""
    chunk = model.settings.ubatch_size or 128
    prompt = ids_of(1500)
    [rest, *full] = [1499 % chunk, *[chunk] * (1499 // chunk)]
    fresh_shapes = [*full, *([rest] if rest else []), 1]
    with closing(Context(model, 1600, 1)) as fresh, closing(Context(model, 1600, 1)) as used:
        assert fresh.prefill_chunk == chunk
        fresh.sequences[0].begin(prompt)
        expected = fresh.predict(fresh.sequences)[0].copy()
        assert read_shapes == fresh_shapes
        for keep in (1, 700, 1023, 1400):
            used.sequences[0].begin([*prompt[:keep], *ids_of(100, seed=keep)])
            used.predict(used.sequences)
            read_shapes.clear()
            used.sequences[0].begin(prompt)
            assert (used.predict(used.sequences)[0] == expected).all()
            assert read_shapes == fresh_shapes[-len(read_shapes) :]


@pytest.mark.parametrize("chunk", [32, 128, 512, 2048])
@pytest.mark.parametrize("n_parallel", [1, 2, 16, 64])
def test_a_chunk_has_room_beside_all_answers(chunk, n_parallel):
    """One call holds a chunk and as many tokens of answers as may come with it."""
    others = n_outputs(n_parallel) if n_parallel > 1 else 0
    assert batch_tokens(chunk, n_parallel) >= max(512, chunk + others)


@pytest.mark.parametrize("chunk", [128, 512, 1024])
def test_a_long_prompt_is_read_while_others_answer(toy_path, chunk):
    """Answers that never pause do not keep a prompt waiting: every call reads a chunk of it."""
    with (
        closing(Model(toy_path, ModelSettings(ubatch_size=chunk))) as model,
        closing(Context(model, 1600, 1, 3)) as context,
    ):
        *answering, waiting = context.sequences
        for sequence in answering:
            sequence.begin(ids_of(5, seed=sequence.seq_id))
        context.predict(answering)
        waiting.begin(ids_of(1300))
        calls = 0
        done = {}
        while waiting not in done:
            for sequence in answering:
                sequence.accept(3 + calls, b"?")
            done = context.advance(context.sequences)
            assert all(sequence in done for sequence in answering)
            calls += 1
        assert calls == -(-1299 // chunk) + 1


def test_the_size_follows_from_the_settings_and_the_device():
    """128 on the processor, 512 on a GPU, or what the user asks for on either."""
    assert prefill_chunk(ModelSettings(), offloads=False) == 128
    assert prefill_chunk(ModelSettings(), offloads=True) == 512
    for offloads in (False, True):
        assert prefill_chunk(ModelSettings(ubatch_size=96), offloads=offloads) == 96
