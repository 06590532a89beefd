"""Control vectors: off is bit-identical to none, files are read whole, and what does not fit is refused."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from blendin_local.decode.loaded_model import LoadedModel
from blendin_local.engine.context import Context
from blendin_local.engine.control_vector import (
    fitting_control_vector,
    read_control_vector,
    set_control_vector,
)
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.model import Model
from blendin_local.engine.trial_cache import TrialCache
from blendin_local.errors import LoadError, PairError, UsageError
from blendin_local.settings import ModelSettings, scaled_file
from tests.toys import LAYERS, WIDTH, make_toy, make_vector

IDS = [5, 80, 260, 261, 262, 90, 33]


def direction(seed=0, width=WIDTH):
    return np.random.default_rng(seed).normal(size=width).astype(np.float32)


@pytest.fixture
def vector_file(tmp_path):
    return make_vector(tmp_path / "v.gguf", {1: direction()}, hint="")


def logits_with(path, text):
    """The logits after a prompt, with a control vector given as text; None sets none at all."""
    model = Model(path, ModelSettings(threads=1))
    context = Context(model, 256, 1)
    if text is not None:
        set_control_vector(context, None if text == "" else read_control_vector(text))
    context.sequences[0].begin(IDS)
    logits = context.predict([context.sequences[0]])[0].copy()
    context.close()
    model.close()
    return logits


def test_a_vector_that_is_off_is_bit_identical_to_none(toy_path, vector_file):
    """Nothing set, none set and scale 0 give the same bits, whatever the memory; another scale does not."""
    plain = logits_with(toy_path, None)

    assert (logits_with(toy_path, "") == plain).all()
    assert (logits_with(toy_path, f"{vector_file}:0") == plain).all()
    assert (logits_with(toy_path, f"{vector_file}:0.5") != plain).any()


def test_a_vector_taken_off_leaves_nothing(tmp_path, vector_file):
    """Set, read with, and unset: what is read afterwards is as if there had never been one."""
    path = make_toy(tmp_path / "toy.gguf", "plain")
    model = Model(path, ModelSettings())
    context = Context(model, 256, 1)
    sequence = context.sequences[0]
    set_control_vector(context, read_control_vector(str(vector_file)))
    sequence.begin(IDS)
    steered = context.predict([sequence])[0].copy()
    set_control_vector(context, None)
    context.rewind(sequence, 0)
    sequence.begin(IDS)
    plain = context.predict([sequence])[0].copy()
    context.close()
    model.close()

    assert (steered == logits_with(path, str(vector_file))).all()
    assert (plain == logits_with(path, None)).all()


def test_what_is_added_is_the_direction_times_the_scale(tmp_path):
    """Twice the scale is the same as twice the numbers; layers without a direction get nothing."""
    path = make_toy(tmp_path / "toy.gguf", "plain")
    once = make_vector(tmp_path / "once.gguf", {1: direction()})
    twice = make_vector(tmp_path / "twice.gguf", {1: 2 * direction()})

    assert (logits_with(path, f"{once}:2") == logits_with(path, str(twice))).all()
    assert (
        read_control_vector(f"{once}:-2").scaled_rows(4) == [-2 * direction(), *np.zeros((2, WIDTH))]
    ).all()


def test_a_file_is_known_by_its_bytes(vector_file):
    """Its sha256, its scale and its name go into records; the path does not."""
    digest = hashlib.sha256(vector_file.read_bytes()).hexdigest()

    assert read_control_vector(f"{vector_file}:0.5").facts() == {
        "file": "v.gguf",
        "sha256": digest,
        "scale": 0.5,
    }


@pytest.mark.parametrize(
    ("hint", "architecture", "fits"),
    [
        ("llama", "llama", True),
        ("mistral", "llama", True),
        ("gemma3_text", "gemma3", True),
        ("", "llama", True),
        ("qwen2", "llama", False),
        ("llama", "gemma3", False),
    ],
)
def test_the_architecture_must_be_the_models(tmp_path, hint, architecture, fits):
    """Under llama.cpp's name, or under that of repeng's files, which is Hugging Face's."""
    kind = {"llama": "plain", "gemma3": "sliding"}[architecture]
    header = read_header(make_toy(tmp_path / "toy.gguf", kind))
    vector = read_control_vector(str(make_vector(tmp_path / "v.gguf", {1: direction()}, hint=hint)))

    if fits:
        vector.require_fit(header)
    else:
        with pytest.raises(PairError, match=f"for a model of architecture {hint}.* is {architecture}$"):
            vector.require_fit(header)


@pytest.mark.parametrize(
    ("directions", "says"),
    [
        ({1: direction(width=WIDTH + 1)}, f"a model of width {WIDTH + 1}, and toy.gguf has {WIDTH}$"),
        (
            {1: direction(), LAYERS: direction()},
            f"of at least {LAYERS + 1} layers, and toy.gguf has {LAYERS}$",
        ),
    ],
)
def test_width_and_depth_are_checked_before_weights_are_read(tmp_path, monkeypatch, directions, says):
    """One line that names both files, and no model was loaded."""
    path = make_toy(tmp_path / "toy.gguf", "plain")
    vector = make_vector(tmp_path / "v.gguf", directions)
    monkeypatch.setattr(LoadedModel, "__init__", lambda *_, **__: pytest.fail("weights were read"))
    settings = ModelSettings(control_vector=str(vector))

    with pytest.raises(PairError, match=says) as caught:
        LoadedModel.load_all({"base": (path, settings)}, TrialCache(tmp_path / "trials"))
    assert "\n" not in caught.value.message


def damaged(tmp_path, name):
    path = tmp_path / "bad.gguf"
    match name:
        case "a model":
            make_toy(path, "plain")
        case "layer 0":
            make_vector(path, {0: direction()})
        case "half numbers":
            make_vector(path, {1: direction().astype(np.float16)})
        case "a matrix":
            make_vector(path, {1: np.ones((2, WIDTH), np.float32)})
        case "no numbers":
            make_vector(path, {1: np.full(WIDTH, np.nan, np.float32)})
        case "two widths":
            make_vector(path, {1: direction(), 2: direction(width=8)})
        case "nothing":
            make_vector(path, {})
        case "cut short":
            make_vector(path, {1: direction(), 2: direction()})
            path.write_bytes(path.read_bytes()[:-WIDTH])
        case "text":
            path.write_text("not a GGUF")
    return path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a model", "is not a control vector but a GGUF file of kind 'llama'"),
        ("layer 0", r"tensor 'direction.0' is none of direction.1"),
        ("half numbers", "direction.1 is not a row of 32-bit numbers"),
        ("a matrix", "direction.1 is not a row of 32-bit numbers"),
        ("no numbers", "direction.1 has values that are no numbers"),
        ("two widths", "all of one length"),
        ("nothing", "it needs directions"),
        ("cut short", "cut short"),
        ("text", "is not a GGUF file"),
        ("missing", "does not exist"),
    ],
)
def test_a_file_that_is_no_control_vector_is_refused(tmp_path, name, says):
    """In one line that says what is wrong with it."""
    with pytest.raises(LoadError, match=says):
        read_control_vector(str(damaged(tmp_path, name)))


@pytest.mark.parametrize(
    ("text", "path", "scale"),
    [
        ("v.gguf", "v.gguf", 1.0),
        ("v.gguf:0.5", "v.gguf", 0.5),
        ("v.gguf:-2", "v.gguf", -2.0),
        ("a:b/v.gguf", "a:b/v.gguf", 1.0),
        ("C:\\v.gguf:1e-1", "C:\\v.gguf", 0.1),
        ("v.gguf:nan", "v.gguf:nan", 1.0),
    ],
)
def test_the_scale_is_the_number_after_the_last_colon(text, path, scale):
    """Anything else there is part of the file's name."""
    found = scaled_file(text)

    assert (str(found.path), found.scale) == (path, scale)


@pytest.mark.parametrize("text", ["", ":0.5", "v.gguf:1e9"])
def test_a_text_without_a_file_or_with_an_absurd_scale_is_refused(text):
    """When the settings are made, before anything is looked for."""
    with pytest.raises(UsageError, match=r"control-vector (is|has)"):
        ModelSettings(control_vector=text)


def test_no_vector_is_no_file(tmp_path):
    """Without the setting nothing is read."""
    assert fitting_control_vector(None, read_header(make_toy(tmp_path / "toy.gguf", "plain"))) is None
