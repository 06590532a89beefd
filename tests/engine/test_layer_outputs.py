"""Hidden states: those of a direct forward pass, for every kind of memory, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from blendin_local.engine.context import Context, StoppedError
from blendin_local.engine.control_vector import read_control_vector, set_control_vector
from blendin_local.engine.layer_outputs import LayerReader
from blendin_local.engine.model import Model
from blendin_local.errors import PairError, UsageError
from blendin_local.settings import ModelSettings
from tests.numpy_llama import NumpyLlama
from tests.toys import LAYERS, WIDTH, make_toy, make_vector

EXACT = ModelSettings(threads=1, kv_type="f32", flash_attention="off")


def ids_of(n, seed=0):
    return np.random.default_rng(seed).integers(3, 270, n).tolist()


@pytest.fixture
def opened():
    """Opens readers and contexts, and closes them."""
    closing = []

    def open_model(path, kind=LayerReader):
        model = Model(path, EXACT)
        context = kind(model, 512, 1)
        closing.extend((context, model))
        return context

    yield open_model
    for each in closing:
        each.close()


@pytest.mark.parametrize("n", [2, 3, 17, 128, 129, 300])
def test_the_outputs_are_those_of_a_direct_forward_pass(tmp_path, opened, n):
    """Of every layer, after the last token, however many chunks the text is read in."""
    path = make_toy(tmp_path / "toy.gguf", "plain")
    outputs, logits = NumpyLlama(path).layer_outputs(ids_of(n))
    reader = opened(path)

    found = reader.last_token(ids_of(n))

    assert found.shape == (LAYERS, WIDTH)
    assert np.abs(found - outputs[:, -1]).max() < 1e-4 * np.abs(outputs).max()
    assert np.abs(reader.predict(reader.sequences)[0] - logits).max() < 1e-3


def test_a_control_vector_is_what_the_forward_pass_adds(tmp_path, opened):
    """Scale times direction, to the output of that layer, at every position."""
    path = make_toy(tmp_path / "toy.gguf", "plain")
    direction = np.random.default_rng(3).normal(size=WIDTH).astype(np.float32)
    vector = make_vector(tmp_path / "v.gguf", {1: direction})
    outputs, logits = NumpyLlama(path).layer_outputs(ids_of(20), {1: -1.5 * direction.astype(float)})
    reader = opened(path)
    set_control_vector(reader, read_control_vector(f"{vector}:-1.5"))

    found = reader.last_token(ids_of(20))

    assert np.abs(found - outputs[:, -1]).max() < 1e-4 * np.abs(outputs).max()
    assert np.abs(reader.predict(reader.sequences)[0] - logits).max() < 1e-3


def test_reading_changes_no_logit(toy_path, opened):
    """With every kind of memory the logits are those of a context without the callback, to the last bit."""
    reader, plain = opened(toy_path), opened(toy_path, Context)
    for n in (5, 200):
        found = reader.last_token(ids_of(n))
        plain.sequences[0].begin(ids_of(n))

        assert (reader.predict(reader.sequences)[0] == plain.predict(plain.sequences)[0]).all()
        assert found.shape == (LAYERS, WIDTH)
        assert np.isfinite(found).all()


def test_another_text_leaves_no_trace(toy_path, opened):
    """The same text again has the same states, whatever was read between."""
    reader = opened(toy_path)
    first = reader.last_token(ids_of(150))
    other = reader.last_token([*ids_of(100), *ids_of(40, seed=1)])

    assert (reader.last_token(ids_of(150)) == first).all()
    assert (other != first).any(axis=1).all()


def test_the_states_are_those_of_the_last_token(tmp_path, opened):
    """Not of the one before it."""
    reader = opened(make_toy(tmp_path / "toy.gguf", "plain"))
    ids = ids_of(30)

    assert (reader.last_token(ids) != reader.last_token([*ids[:-1], ids[0]])).any(axis=1).all()


def test_position_0_is_left_out(tmp_path, opened):
    """A text of one token has only the states of position 0, so it is refused."""
    reader = opened(make_toy(tmp_path / "toy.gguf", "plain"))

    with pytest.raises(UsageError, match="one token"):
        reader.last_token([5])


def test_what_happens_in_the_callback_is_not_lost(tmp_path, opened, monkeypatch):
    """An interruption while Python is called back ends the reading; the next one is right again."""
    reader = opened(make_toy(tmp_path / "toy.gguf", "plain"))
    right = reader.last_token(ids_of(40))

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reader, "_keep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            reader.last_token(ids_of(40))
    assert (reader.last_token(ids_of(40)) == right).all()


def test_it_can_be_stopped(tmp_path, opened):
    """As every reading of a text can."""
    reader = opened(make_toy(tmp_path / "toy.gguf", "plain"))

    with pytest.raises(StoppedError):
        reader.last_token(ids_of(400), lambda: True)


def test_an_architecture_without_names_is_refused(tmp_path, opened, monkeypatch):
    """In one line: llama.cpp does not say which values are a layer's output."""
    monkeypatch.setattr("blendin_local.engine.layer_outputs.OUTPUT", b"out-")
    reader = opened(make_toy(tmp_path / "toy.gguf", "plain"))

    with pytest.raises(PairError, match=f"the outputs of {LAYERS} layers of toy.gguf cannot be read"):
        reader.last_token(ids_of(4))
