"""`blendin steer learn` as a user meets it, and its file used at once."""

from __future__ import annotations

import json

import pytest

from blendin_local.errors import UsageError
from blendin_local.settings import layer_range
from tests.cli_runner import blendin, one_line_error
from tests.toys import make_toy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models of one kind, and prompts."""
    folder = tmp_path_factory.mktemp("steer")
    for i, name in enumerate(("base", "aligned")):
        make_toy(folder / f"{name}.gguf", "plain", seed=i)
    rows = [
        {"prompt": f"{'the hell' if label == 'harmful' else 'a world'} {i}", "label": label}
        for i in range(8)
        for label in ("harmful", "harmless")
    ]
    (folder / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def learn(folder, tmp_path):
    models = ("--base", folder / "base.gguf", "--aligned", folder / "aligned.gguf", "-t", 1)

    def run(*more):
        return blendin(
            "steer", "learn", *models, "--contrast", folder / "c.jsonl", *more, BLENDIN_CACHE=str(tmp_path)
        )

    return run


def test_a_vector_is_learned_and_used(learn, folder, tmp_path):
    """The file fits the base, and the record of an answer names it."""
    code, out, err = learn("-o", tmp_path / "v.gguf", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert (report["layers"], report["held_out"], report["path"]) == ([1], 4, str(tmp_path / "v.gguf"))
    assert "prompts read by the base" in err

    models = ("--base", folder / "base.gguf", "--guide", folder / "aligned.gguf", "-t", 1)
    vector = ("--base-control-vector", f"{tmp_path / 'v.gguf'}:0.5")
    code, out, err = blendin("run", "hello", *models, *vector, "-n", 3, "--json", BLENDIN_CACHE=str(tmp_path))
    assert code == 0, err
    found = json.loads(out)["signature"]["models"]["base"]["control_vector"]
    assert (found["file"], found["scale"]) == ("v.gguf", 0.5)


def test_the_result_says_what_to_do_with_it(learn, tmp_path):
    """Strength, gate and the option that uses the file."""
    code, out, err = learn("-o", tmp_path / "v.gguf", "-q", "--layers", "1-1")

    assert (code, err) == (0, "")
    assert f"use it with --base-control-vector {tmp_path / 'v.gguf'}:SCALE" in out
    assert "blendin tune --method steer" in out
    assert "gate: layer" in out


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (("-o", "v.gguf", "--layers", "5-9"), 2, "layers 5-9 are not layers of base.gguf"),
        (("-o", "v.gguf", "--layers", "all"), 2, "--layers is 'all'"),
        (("-o", "v.gguf", "--contrast", "missing.jsonl"), 2, "missing.jsonl cannot be read"),
        (("-o", "no/folder/v.gguf"), 1, "cannot be written"),
    ],
)
def test_what_cannot_be_learned_is_one_line(learn, more, code, says):
    """With its exit code."""
    one_line_error(learn(*more, "-q"), code, says)


def test_layers_are_typed_as_first_and_last():
    """Or as one."""
    assert (layer_range("5-9"), layer_range("7")) == ((5, 9), (7, 7))
    for wrong in ("9-", "9-5", "-5", "5-9-11", "٥-٩"):
        with pytest.raises(UsageError, match="--layers is"):
            layer_range(wrong, "--layers")
