"""A pair whose models have control vectors: named everywhere, known by content, bit-identical when off."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from blendin_local.cli.app import build_app
from blendin_local.cli.common.load_options import load_options
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
)
from blendin_local.core.prompts import messages_to_json
from blendin_local.core.record_json import completion_to_json
from blendin_local.errors import BlendinError, UsageError
from blendin_local.jobs.batch.manifest import settings_facts
from blendin_local.jobs.replay.answer_file import read_answers
from blendin_local.jobs.replay.recorded_pair import differences, recorded_spec
from blendin_local.models.registry import load_registry
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.pair.resolve import PairSpec, resolve_pair
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings
from tests.jobs.batches import DEFAULTS
from tests.prompts import TEMPLATE
from tests.toys import WIDTH, make_toy, make_vector

MODEL = ModelSettings(ctx_size=256, threads=1)
BLEND = BlendSettings(threshold=0.3)
ANSWER = AnswerSettings(max_tokens=8, loop_guard=False, top_logprobs=3)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A base, a guide, and two vectors for them."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    names = enumerate(("base", "guide"))
    made = {name: make_toy(folder / f"{name}.gguf", "plain", seed=i) for i, name in names}
    for name in ("v", "w"):
        vector = (5 * rng.normal(size=WIDTH)).astype(np.float32)
        made[name] = make_vector(folder / f"{name}.gguf", {1: vector})
    return made


def setup_of(files, base="", guide=""):
    """A setup; `v:0.5` names a vector and its scale."""

    def model(text):
        name, colon, scale = text.partition(":")
        return replace(MODEL, control_vector=f"{files[name]}{colon}{scale}" if text else None)

    settings = {"base_settings": model(base), "guide_settings": model(guide)}
    return PairSetup(files["base"], files["guide"], TEMPLATE, **settings, untuned=files["guide"])


def answered(setup, method="blendin"):
    with Pair(setup) as pair:
        return pair.respond("hello", blend=replace(BLEND, method=method), answer=ANSWER)


def what_decided(completion):
    """Every step with its candidates, to the last bit."""
    return [(s.bytes, s.source, s.alpha, s.base_top, s.guide_top, s.candidates) for s in completion.steps]


def test_a_pair_with_scale_0_answers_as_without_a_vector(files):
    """Bit by bit, candidates included; another scale is another answer."""
    plain = what_decided(answered(setup_of(files)))

    assert what_decided(answered(setup_of(files, "v:0", "w:0"))) == plain
    assert what_decided(answered(setup_of(files, "v:0.5"))) != plain


def test_each_model_has_its_own(files):
    """The guide's is not added to the base, nor to the guide before it was tuned."""
    both = setup_of(files, "v", "w").files()

    assert {role: settings.control_vector for role, (_, settings) in both.items()} == {
        "base": str(files["v"]),
        "guide": str(files["w"]),
        "untuned": None,
    }
    assert what_decided(answered(setup_of(files, guide="w"), "base")) == what_decided(
        answered(setup_of(files), "base")
    )


def test_the_signature_has_the_files_content_and_the_scale(files):
    """Two scales and two files are four signatures; the path is in none, and without a vector nothing is."""
    ways = ("v", "v:0.5", "w", "w:0.5")
    signatures = [answered(setup_of(files, way)).signature for way in ways]
    plain = answered(setup_of(files)).signature

    assert len({json.dumps(signature["models"]) for signature in [*signatures, plain]}) == 5
    assert all(str(files["v"].parent) not in json.dumps(signature) for signature in signatures)
    assert "control_vector" not in plain["models"]["base"]
    assert signatures[1]["models"]["base"]["control_vector"]["scale"] == 0.5


def test_the_description_of_a_pair_names_its_vectors(files):
    """`-v` shows which model is steered, by what and how much."""
    with Pair(setup_of(files, guide="w:-2")) as pair:
        lines = pair.describe()

    assert lines["guide"].endswith("control vector w.gguf at -2")
    assert "control vector" not in lines["base"]


def resolved(folder, content, **spec):
    path = folder / "models.toml"
    path.write_text(content)
    return resolve_pair(PairSpec(pair="x", **spec), load_registry(path, env={}, cwd=folder))


TOML = "[pairs.x]\nbase = 'b.gguf'\nguide = 'g.gguf'\nbase_control_vector = 'v.gguf:0.5'\n"


def test_models_toml_gives_a_pairs_model_its_vector(tmp_path):
    """For one model or, without a role, for both; the command line wins, and `none` takes it off."""
    found = resolved(tmp_path, TOML).setup
    assert (found.base_settings.control_vector, found.guide_settings.control_vector) == ("v.gguf:0.5", None)

    both = resolved(tmp_path, TOML.replace("base_control", "control")).setup
    assert both.guide_settings.control_vector == "v.gguf:0.5"

    off = RuntimeOptions(base_control_vector="none").settings_for("base")
    assert resolved(tmp_path, TOML, base_settings=off).setup.base_settings.control_vector is None


def test_a_vector_belongs_to_the_pairs_own_model(tmp_path):
    """Another base that is named instead has none, and `[defaults]` cannot have one."""
    assert resolved(tmp_path, TOML, base="other.gguf").setup.base_settings.control_vector is None
    assert resolved(tmp_path, TOML, guide="other.gguf").setup.base_settings.control_vector == "v.gguf:0.5"
    with pytest.raises(UsageError, match=r"\[defaults\] has the unknown key 'control_vector'"):
        resolved(tmp_path, "[defaults]\ncontrol_vector = 'v.gguf'\n")


def test_a_long_path_is_a_path(tmp_path):
    """Not a name, which may have 200 characters."""
    path = "/".join(["folder"] * 40) + "/v.gguf"
    found = resolved(tmp_path, TOML.replace("v.gguf:0.5", path)).setup

    assert found.base_settings.control_vector == path


def test_answers_of_another_vector_do_not_join_a_batch(files):
    """The manifest has the content and the scale, so that a changed one is seen; without one, no line."""
    ways = ("v", "v:0.5", "w", "")
    facts = [settings_facts(setup_of(files, way), DEFAULTS)["base"] for way in ways]

    assert facts[0]["control_vector"]["sha256"] != facts[2]["control_vector"]["sha256"]
    assert facts[0] != facts[1]
    assert "control_vector" not in facts[3]


def stored(setup, path):
    completion = answered(setup)
    path.write_text(json.dumps({"messages": messages_to_json([]), **completion_to_json(completion)}))
    [found] = read_answers(path).answers
    return found


def test_a_steered_answer_goes_on_with_its_vector_only(files, tmp_path):
    """A record has no path, so the file is to be named; another file or none is told."""
    record = stored(setup_of(files, "v:0.5"), tmp_path / "answer.json")

    with pytest.raises(UsageError, match=r"steered by the control vector v.gguf x 0.5") as caught:
        recorded_spec(record, PairSpec())
    assert "--base-control-vector FILE:0.5" in caught.value.hint
    same = recorded_spec(record, PairSpec(base_settings={"control_vector": f"{files['v']}:0.5"}))
    assert same.base_settings["control_vector"] == f"{files['v']}:0.5"
    without = recorded_spec(record, PairSpec(base_settings={"control_vector": None}))
    assert without.base_settings["threads"] == 1
    assert list(differences(record, answered(setup_of(files, "v:0.5")).signature)) == []
    [told] = differences(record, answered(setup_of(files, "w")).signature)
    assert "the base is steered by w.gguf x 1.0" in told
    [told] = differences(record, answered(setup_of(files)).signature)
    assert "the base is steered by no control vector" in told


@pytest.mark.parametrize("named", ["0.5", "0.5:1-1"])
def test_a_server_with_the_same_vector_is_recognized_from_another_directory(files, monkeypatch, named):
    """The path is kept as an absolute one, with its scale and its layers."""
    monkeypatch.chdir(files["v"].parent)
    options = SessionOptions(
        ModelOptions(),
        RuntimeOptions(base_control_vector=f"v.gguf:{named}"),
        BlendOptions(),
        SamplingOptions(),
        AnswerOptions(),
    )

    assert load_options(options)["base_control_vector"] == f"{files['v']}:{named}"


def test_a_range_of_layers_is_part_of_what_a_vector_is(files, tmp_path):
    """In the signature, in a batch's manifest, in the description, and in what a fork asks for."""
    ranged = setup_of(files, "v:0.5:1-1")
    record = stored(ranged, tmp_path / "answer.json")
    recorded = record.signature["models"]["base"]["control_vector"]
    with Pair(ranged) as pair:
        assert pair.describe()["base"].endswith("control vector v.gguf at 0.5, layers 1-1")

    assert recorded["layers"] == "1-1"
    assert settings_facts(ranged, DEFAULTS)["base"]["control_vector"] == recorded
    with pytest.raises(UsageError, match=r"by the control vector v.gguf x 0.5, layers 1-1") as caught:
        recorded_spec(record, PairSpec())
    assert "--base-control-vector FILE:0.5:1-1" in caught.value.hint
    assert list(differences(record, answered(ranged).signature)) == []
    [told] = differences(record, answered(setup_of(files, "v:0.5")).signature)
    assert "made with v.gguf x 0.5, layers 1-1" in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("narrow.gguf", "narrow.gguf is for a model of width 8, and base.gguf has 32"),
        ("base.gguf", "base.gguf is not a control vector"),
        ("missing.gguf", "missing.gguf does not exist"),
        ("v.gguf:1e9", "has the scale '1e9'"),
        ("v.gguf:1:2-3", "v.gguf has no directions for layers 2-3"),
    ],
)
def test_a_vector_that_does_not_fit_is_one_line_before_anything_is_answered(files, text, says):
    """On the command line too."""
    make_vector(files["v"].parent / "narrow.gguf", {1: np.ones(8, np.float32)})
    models = ["--base", files["base"], "--guide", files["guide"], "--threads", "1"]
    command = ["run", "hello", *models, "--base-control-vector", files["v"].parent / text]

    result = CliRunner().invoke(build_app(), list(map(str, command)))

    assert isinstance(result.exception, BlendinError)
    assert says in result.exception.message
    assert "\n" not in result.exception.message
    assert result.stdout == ""
