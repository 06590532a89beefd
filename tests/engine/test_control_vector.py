"""Control vectors: off is bit-identical to none, files are read whole, and what does not fit is refused."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from blendin_local.settings import LayerRange, ModelSettings, ScaledFile, scaled_file
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


@pytest.fixture
def deep_file(tmp_path):
    """A vector with directions for layers 1, 2, 5, 6 and 7."""
    return make_vector(tmp_path / "deep.gguf", {layer: direction(layer) for layer in (1, 2, 5, 6, 7)})


def test_a_range_of_all_layers_is_bit_identical_to_none(toy_path, tmp_path):
    """Whatever the memory, and however far beyond the file's layers it reaches."""
    path = make_vector(tmp_path / "v.gguf", {1: direction()}, hint="")
    whole = logits_with(toy_path, f"{path}:0.5")

    assert (logits_with(toy_path, f"{path}:0.5:1-1") == whole).all()
    assert (logits_with(toy_path, f"{path}:0.5:0-999") == whole).all()


@given(st.integers(0, 9), st.sampled_from([-2.0, 0.3, 1.0]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_rows_of_disjoint_ranges_add_up_to_those_of_the_whole(deep_file, cut, scale):
    """Wherever the layers are cut, each direction is in one part, and the sum is exact."""
    whole = read_control_vector(f"{deep_file}:{scale}").scaled_rows(10)
    parts = []
    for part in (f"0-{cut}", f"{cut + 1}-9"):
        with suppress(UsageError):  # none of the file's layers is in it
            parts.append(read_control_vector(f"{deep_file}:{scale}:{part}").scaled_rows(10))

    assert len(parts) == 2 - (cut in {0, 7, 8, 9})
    assert (np.sum(parts, axis=0) == whole).all()
    assert (np.sum([part.any(axis=1) for part in parts], axis=0) <= 1).all()


def test_only_the_layers_of_the_range_are_steered(tmp_path, deep_file):
    """The others stay as they are, and the file must fit the model as a whole all the same."""
    rows = read_control_vector(f"{deep_file}:2:2-5").scaled_rows(10)
    toy = read_header(make_toy(tmp_path / "toy.gguf", "plain"))

    assert (rows[[1, 4]] == [2 * direction(2), 2 * direction(5)]).all()
    assert not np.delete(rows, [1, 4], axis=0).any()
    with pytest.raises(PairError, match="at least 8 layers"):
        read_control_vector(f"{deep_file}:1:1-1").require_fit(toy)


def test_a_range_is_a_fact_only_where_one_was_named(deep_file):
    """As the first and the last layer of the file that are in it, so that one steering has one name."""
    whole = read_control_vector(f"{deep_file}:0.5").facts()

    assert sorted(whole) == ["file", "scale", "sha256"]
    assert read_control_vector(f"{deep_file}:0.5:2-6").facts() == {**whole, "layers": "2-6"}
    assert read_control_vector(f"{deep_file}:0.5:3-5").facts()["layers"] == "5-5"
    assert read_control_vector(f"{deep_file}:0.5:0-99").facts()["layers"] == "1-7"


@pytest.mark.parametrize("text", ["3-4", "8-20"])
def test_a_range_with_none_of_the_files_layers_is_refused(deep_file, tmp_path, text):
    """In one line that says which layers the file has."""
    with pytest.raises(UsageError, match=f"no directions for layers {text}") as caught:
        read_control_vector(f"{deep_file}:0.5:{text}")
    assert caught.value.hint == "it has layers 1, 2, 5, 6, 7"
    whole = make_vector(tmp_path / "whole.gguf", {layer: direction() for layer in range(5, 10)})
    with pytest.raises(UsageError) as caught:
        read_control_vector(f"{whole}:0.5:1-4")
    assert caught.value.hint == "it has layers 5-9"


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
    run_with = ModelSettings(control_vector=str(vector))

    with pytest.raises(PairError, match=says) as caught:
        LoadedModel.load_all({"base": (path, run_with)}, TrialCache(tmp_path / "trials"))
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

    assert (str(found.path), found.scale, found.layers) == (path, scale, None)


@pytest.mark.parametrize(
    ("text", "path", "scale", "layers"),
    [
        ("v.gguf:0.5:5-9", "v.gguf", 0.5, (5, 9)),
        ("v.gguf:-2:7-7", "v.gguf", -2.0, (7, 7)),
        ("C:\\v.gguf:1:5-9", "C:\\v.gguf", 1.0, (5, 9)),
        ("a:b/v.gguf:.5:5-9", "a:b/v.gguf", 0.5, (5, 9)),
        ("v.gguf:5-9", "v.gguf:5-9", 1.0, None),
        ("v.gguf:0.5:", "v.gguf:0.5:", 1.0, None),
        ("v.gguf:0.5:9", "v.gguf:0.5", 9.0, None),
        ("v:0.5:5-9:1", "v:0.5:5-9", 1.0, None),
    ],
)
def test_the_layers_are_the_range_after_the_scale(text, path, scale, layers):
    """A range without a scale before it, and anything else, is part of the file's name."""
    found = scaled_file(text)

    assert (str(found.path), found.scale, found.layers) == (path, scale, layers)


@given(
    st.floats(-1e6, 1e6),
    st.none() | st.tuples(st.integers(0, 999), st.integers(0, 999)).map(sorted),
    st.sampled_from(["v.gguf", "a:b/v.gguf", "C:\\v.gguf"]),
)
def test_a_scaled_file_as_text_is_read_as_it_was(scale, layers, path):
    """To the last bit of its scale."""
    written = ScaledFile(Path(path), scale, layers and LayerRange(*layers))

    assert scaled_file(str(written)) == written


def test_layers_in_the_wrong_order_are_refused():
    """When the settings are made, before anything is looked for."""
    with pytest.raises(UsageError, match="control-vector: the range of layers is '9-5'"):
        ModelSettings(control_vector="v.gguf:1:9-5")


@pytest.mark.parametrize("text", ["", ":0.5", "v.gguf:1e9"])
def test_a_text_without_a_file_or_with_an_absurd_scale_is_refused(text):
    """When the settings are made, before anything is looked for."""
    with pytest.raises(UsageError, match=r"control-vector (is|has)"):
        ModelSettings(control_vector=text)


def test_no_vector_is_no_file(tmp_path):
    """Without the setting nothing is read."""
    assert fitting_control_vector(None, read_header(make_toy(tmp_path / "toy.gguf", "plain"))) is None
