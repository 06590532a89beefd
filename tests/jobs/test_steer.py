"""`run_steer` on toys: what a forward pass in numpy gives, and what cannot be learned is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import gguf
import numpy as np
import pytest

from blendin_local.core.steering import fit_gate, mean_difference
from blendin_local.engine.control_vector import read_control_vector
from blendin_local.engine.gguf.header import read_header
from blendin_local.errors import LoadError, PairError, UsageError
from blendin_local.jobs.steer.contrast import read_contrast
from blendin_local.jobs.steer.job import SteerProgress, SteerSpec, run_steer
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import PairSpec, locate_files, resolve_pair
from tests.numpy_llama import NumpyLlama
from tests.paths import ROOT
from tests.toys import LAYERS, WIDTH, make_toy

EXACT = {"threads": 1, "kv_type": "f32", "flash_attention": "off"}
WORDS = ("the hello", "a world", "or hell", "the wheel", "hold", "well", "a door", "the dole", "row", "hero")


def contrast_file(path, n=10):
    rows = [
        {"prompt": f"{'hello the' if label == 'harmful' else 'or a'} {WORDS[i % 10]} {i}", "label": label}
        for i in range(n)
        for label in ("harmful", "harmless")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steer")
    return [make_toy(folder / f"{name}.gguf", "plain", seed=i) for i, name in enumerate(("base", "aligned"))]


@pytest.fixture
def spec(models, tmp_path):
    base, aligned = map(str, models)
    pair = PairSpec(base=base, guide=aligned, base_settings=EXACT, guide_settings=EXACT, system="hello")
    return SteerSpec(contrast_file(tmp_path / "c.jsonl"), tmp_path / "v.gguf", pair)


def by_numpy(spec, role):
    """The states after every prompt, computed by hand."""
    resolved = resolve_pair(replace(spec.pair, every_model=True))
    paths = locate_files(resolved)
    model = NumpyLlama(paths[role])
    found = []
    with Pair(resolved.setup.with_files(paths)) as pair:
        for text in read_contrast(spec.contrast).texts:
            messages = [{"role": "system", "content": "hello"}, {"role": "user", "content": text}]
            ids = pair.vocabulary(role).tokenize_prompt(pair.prompt_spans(role, messages))
            found.append(model.layer_outputs(ids)[0][:, -1])
    return np.stack(found).astype(np.float32)


def test_the_vector_and_its_gate_are_those_of_a_direct_forward_pass(spec):
    """The aligned model's difference of means at every steered layer, and the base's own gate."""
    report = run_steer(spec)
    vector = read_control_vector(str(spec.out))
    contrast = read_contrast(spec.contrast)
    kept = ~contrast.held_out
    expected = mean_difference(by_numpy(spec, "guide")[kept], contrast.harmful[kept])
    gate = fit_gate(by_numpy(spec, "base"), contrast.harmful, contrast.held_out)

    assert list(vector.directions) == [1] == list(report.layers)
    assert np.abs(vector.directions[1] - expected[1]).max() < 1e-3 * np.abs(expected).max()
    assert (vector.gate.layer, report.gate_layer) == (gate.layer, gate.layer)
    assert np.abs(vector.gate.direction - gate.direction).max() < 1e-3
    assert vector.gate.threshold == pytest.approx(gate.threshold, abs=1e-3) == report.threshold
    assert vector.gate.auc == pytest.approx(gate.auc) == report.auc
    assert (report.n_harmful, report.n_harmless, report.held_out) == (10, 10, 4)


def test_the_file_is_llama_cpps_form(spec):
    """As another program reads it: its kind, its hint, its tensors and nothing else among them."""
    run_steer(spec)
    reader = gguf.GGUFReader(spec.out)
    value = {name: field.contents() for name, field in reader.fields.items()}

    assert value["general.architecture"] == "controlvector"
    assert value["controlvector.model_hint"] == "llama"
    assert value["controlvector.layer_count"] == LAYERS - 1
    assert [(t.name, list(t.shape), t.tensor_type) for t in reader.tensors] == [
        ("direction.1", [WIDTH], gguf.GGMLQuantizationType.F32)
    ]
    assert (reader.tensors[0].data == read_control_vector(str(spec.out)).directions[1]).all()
    assert value["blendin.contrast.sha256"] == hashlib.sha256(spec.contrast.read_bytes()).hexdigest()
    assert (value["blendin.base"], value["blendin.aligned"]) == ("base.gguf", "aligned.gguf")
    read_control_vector(str(spec.out)).require_fit(read_header(spec.out.parent / spec.pair.base))


def test_the_same_again_is_the_same_file(spec, tmp_path):
    """Byte by byte: nothing in it depends on the time or the place. A vector in force is left out."""
    run_steer(spec)
    steered = {**EXACT, "control_vector": f"{spec.out}:5"}
    again = replace(spec, out=tmp_path / "w.gguf", pair=replace(spec.pair, base_settings=steered))
    run_steer(again)

    assert again.out.read_bytes() == spec.out.read_bytes()


def test_progress_counts_every_prompt_of_both_models(spec):
    """Base first."""
    seen = []
    run_steer(spec, on_progress=seen.append)

    assert seen == [SteerProgress(role, i, 20) for role in ("base", "guide") for i in range(1, 21)]


def test_a_stop_writes_nothing(spec):
    """In the middle of reading."""
    seen = []

    with pytest.raises(KeyboardInterrupt, match="nothing was written"):
        run_steer(spec, on_progress=seen.append, should_stop=lambda: len(seen) >= 5)
    assert len(seen) == 5
    assert not spec.out.exists()


def test_models_of_another_architecture_are_refused_before_they_are_loaded(spec, tmp_path, monkeypatch):
    """In one line that names what differs."""
    monkeypatch.setattr("blendin_local.jobs.steer.job.load_models", lambda *_: pytest.fail("loaded"))
    other = make_toy(tmp_path / "other.gguf", "sliding")

    with pytest.raises(
        PairError, match=r"architecture of base.gguf is llama, and that of other.gguf is gemma3"
    ):
        run_steer(replace(spec, pair=replace(spec.pair, guide=str(other))))


@pytest.mark.parametrize("layers", [(0, 1), (1, 2), (2, 1)])
def test_layers_that_cannot_be_steered_are_refused(spec, layers):
    """Layer 0 is none of them, in llama.cpp."""
    with pytest.raises(UsageError, match=rf"layers {layers[0]}-{layers[1]} are not layers of base.gguf"):
        run_steer(replace(spec, layers=layers))


def test_a_file_that_exists_is_kept(spec):
    """It may be the work of an hour."""
    spec.out.write_text("mine")

    with pytest.raises(UsageError, match="exists already"):
        run_steer(spec)
    assert spec.out.read_text() == "mine"


def test_every_fourth_prompt_of_each_kind_is_held_out(spec):
    """Whatever their order in the file."""
    contrast = read_contrast(spec.contrast)

    assert np.flatnonzero(contrast.held_out & contrast.harmful).tolist() == [6, 14]
    assert np.flatnonzero(contrast.held_out & ~contrast.harmful).tolist() == [7, 15]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[]", "c.jsonl:21 has no prompt"),
        ("{", "c.jsonl:21 has no prompt"),
        ('{"label": "harmful"}', "has no prompt"),
        ('{"prompt": " ", "label": "harmful"}', "has no prompt"),
        ('{"prompt": "x", "label": "bad"}', "c.jsonl:21 has the label 'bad'"),
        ('{"prompt": "x", "label": ["harmful"]}', "has the label"),
        ('{"prompt": "hello the the hello 0", "label": "harmful"}', "twice"),
    ],
)
def test_a_line_that_is_no_contrast_is_named(spec, line, says):
    """With its number and what is wrong."""
    spec.contrast.write_text(spec.contrast.read_text() + line + "\n")

    with pytest.raises(UsageError, match=says):
        read_contrast(spec.contrast)


def test_too_few_prompts_are_refused(tmp_path):
    """Eight of each kind are the least."""
    with pytest.raises(UsageError, match="has 7 harmless prompts, and 8 are the least"):
        read_contrast(contrast_file(tmp_path / "few.jsonl", 7))
    assert len(read_contrast(contrast_file(tmp_path / "enough.jsonl", 8)).texts) == 16


def test_the_example_file_can_be_learned_from():
    """Forty of each kind, in pairs of one form."""
    contrast = read_contrast(ROOT / "examples" / "contrast.jsonl")

    assert (contrast.harmful.sum(), (~contrast.harmful).sum()) == (40, 40)


def test_a_damaged_gate_is_refused(spec):
    """As any damaged control vector is."""
    run_steer(spec)
    data = spec.out.read_bytes()
    spec.out.write_bytes(data.replace(b"blendin.gate.threshold", b"blendin.gate.threshole"))

    with pytest.raises(LoadError, match="the gate in its metadata is damaged"):
        read_control_vector(str(spec.out))


def test_a_model_can_be_learned_from_alone(spec, models):
    """Where there is no aligned one, the base's own difference is learned."""
    alone = replace(spec, pair=replace(spec.pair, guide=str(models[0]), base_template="chat"))
    run_steer(alone)
    contrast = read_contrast(spec.contrast)
    kept = ~contrast.held_out
    expected = mean_difference(by_numpy(alone, "base")[kept], contrast.harmful[kept])

    found = read_control_vector(str(spec.out)).directions[1]
    assert np.abs(found - expected[1]).max() < 1e-3 * np.abs(expected).max()
