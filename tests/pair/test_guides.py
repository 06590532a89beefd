"""Several guides of a pair: how they are named, what does not go with them, and tiny real models."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from blendin_local.cli.common.load_options import load_options
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
)
from blendin_local.cli.common.session import pair_spec
from blendin_local.core.methods import METHODS, ONE_GUIDE, STEERED
from blendin_local.core.record_json import completion_from_json, completion_to_json
from blendin_local.decode import drafter
from blendin_local.errors import PairError, UsageError
from blendin_local.jobs.inventory import list_pairs
from blendin_local.jobs.replay.replayed_answer import replay_answer
from blendin_local.jobs.replay.stored_answer import answer_from_json
from blendin_local.jobs.request_values import settings_in
from blendin_local.models.registry import load_registry
from blendin_local.models.store import Store
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.pair.resolve import PairSpec, resolve_pair
from blendin_local.pair.roles import check_roles
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings
from tests.cli_runner import SCHEMA
from tests.jobs.batches import DEFAULTS
from tests.near_ties import whole
from tests.prompts import TEMPLATE
from tests.toys import make_toy

EXACT = ModelSettings(ctx_size=512, threads=1, kv_type="f32", flash_attention="off")
LIMITS = AnswerSettings(max_tokens=9, loop_guard=False, evidence=True)
WAYS = tuple(
    BlendSettings(method=name, threshold=0.3) for name in METHODS if name not in {*ONE_GUIDE, STEERED}
)
TOML = """
[pairs.two]
base = "base.gguf"
guide = ["one.gguf", "other.gguf"]
guide_weight = [1, 2.5]
untuned = "untuned.gguf"
"""


@pytest.fixture
def registry(tmp_path):
    """A models.toml with a pair of two guides."""
    (tmp_path / "models.toml").write_text(TOML)
    return load_registry(tmp_path / "models.toml", env={}, cwd=tmp_path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A base and two guides of other kinds and other weights."""
    folder = tmp_path_factory.mktemp("guides")
    kinds = ("plain", "plain", "sliding")
    return [make_toy(folder / f"{i}.gguf", kind, seed=i) for i, kind in enumerate(kinds)]


@pytest.fixture(scope="module")
def pair(files):
    base, guide, guide2 = files
    with Pair(PairSetup(base, guide, TEMPLATE, EXACT, EXACT, n_parallel=2, guide2=guide2)) as opened:
        yield opened


def options(**models):
    """Those of a command line that names these models."""
    groups = (RuntimeOptions(), BlendOptions(), SamplingOptions(), AnswerOptions())
    return SessionOptions(ModelOptions(**models), *groups)


def test_a_pair_of_models_toml_has_a_list_of_guides(registry, tmp_path):
    """Paths are those of the file; the weights come with it, and `ls` lists all."""
    resolved = resolve_pair(PairSpec(pair="two"), registry)

    assert resolved.references == {
        "base": str(tmp_path / "base.gguf"),
        "guide": str(tmp_path / "one.gguf"),
        "guide2": str(tmp_path / "other.gguf"),
    }
    assert resolved.blend.guide_weight == (1, 2.5)
    assert resolved.describe().endswith("one.gguf and " + str(tmp_path / "other.gguf"))
    assert set(METHODS) - set(resolved.methods) == {*ONE_GUIDE, STEERED}
    row = next(row for row in list_pairs(registry, Store(tmp_path)) if row.name == "two")
    assert row.to_json()["guides"] == [str(tmp_path / "one.gguf"), str(tmp_path / "other.gguf")]


def test_guides_that_are_named_replace_those_of_the_pair(registry):
    """All of them, with their weights."""
    spec = pair_spec(options(pair="two", guide=["x.gguf"]))
    resolved = resolve_pair(spec, registry)

    assert resolved.references["guide"] == "x.gguf"
    assert "guide2" not in resolved.references
    assert resolved.blend.guide_weight == ()
    assert resolve_pair(replace(spec, blend={"method": "proxy"}), registry).references["untuned"]


def test_guides_are_named_one_by_one(registry):
    """At most three; a base or a guide alone asks no others."""
    spec = pair_spec(options(base="b", guide=["x", "y", "z"]))

    assert (spec.guide, spec.guide2, spec.guide3) == ("x", "y", "z")
    assert load_options(options(base="b", guide=["x", "y"])) == {"base": "b", "guide": "x", "guide2": "y"}
    alone = replace(spec, blend={"method": "guide"})
    assert list(resolve_pair(alone, registry).references) == ["guide"]
    with pytest.raises(UsageError, match="4 guides are named"):
        ModelOptions(guide=["w", "x", "y", "z"])


def test_the_variable_names_one_guide(monkeypatch):
    """Its path may have spaces, at which lists of other variables are cut."""
    monkeypatch.setenv("BLENDIN_GUIDE", "/my models/x.gguf")

    assert ModelOptions(guide=["/my", "models/x.gguf"]).guide == "/my models/x.gguf"
    assert ModelOptions(guide=["a", "b"]).guide2 == "b"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"blend": {"method": "nudging-words"}}, "method nudging-words works with one guide"),
        ({"blend": {"method": "proxy"}}, "method proxy works with one guide"),
        ({"blend": {"guide_weight": [1, 2, 3]}}, "guide-weight is 1, 2, 3, but there are 2 guides"),
        ({"guide_template": "{{ 1 }}"}, "one chat template is given, but there are several guides"),
        ({"exact_prompts": {"guide": "x"}}, "one exact prompt is given, but there are several guides"),
        ({"sampling": {"search": "2,2,3", "temperature": 1.0}}, "a search works with one guide"),
    ],
)
def test_what_is_for_one_guide_is_refused_before_anything_is_loaded(registry, fields, message):
    """In one line."""
    with pytest.raises(UsageError, match=message):
        resolve_pair(PairSpec(pair="two", **fields), registry)


def test_a_list_of_guides_has_one_to_three(tmp_path):
    """No empty list, and no list for the base."""
    for line in ("guide = []", 'guide = ["a", "b", "c", "d"]', 'guide = ["a"]\nuntuned = ["b"]'):
        (tmp_path / "models.toml").write_text(f'[pairs.x]\nbase = "b"\n{line}\n')
        with pytest.raises(UsageError, match="must be a name, path or repository"):
            load_registry(tmp_path / "models.toml", env={}, cwd=tmp_path)


def test_every_guide_needs_a_chat_template(files, tmp_path, registry):
    """The second one too, seen before anything is loaded."""
    plain = make_toy(tmp_path / "plain.gguf", "plain", template=None)
    names = {"base": str(files[0]), "guide": str(files[1]), "guide2": str(plain)}
    paths = dict(zip(names, (files[0], files[1], plain), strict=True))
    with pytest.raises(PairError, match=r"plain\.gguf has no chat template"):
        check_roles(resolve_pair(PairSpec(**names), registry), paths)


def test_answers_with_two_guides_are_what_they_say(pair):
    """The record of each is valid JSON there and back, and follows from its evidence."""
    for blend in WAYS:
        completion = pair.respond("the hello world", blend=blend, answer=LIMITS)
        record = json.loads(json.dumps(completion_to_json(completion)))
        jsonschema.validate(record, SCHEMA)
        again = completion_from_json(record)

        assert again.steps == completion.steps
        several = blend.method not in {"base", "guide"}
        assert ("guide2" in completion.signature["models"]) == several
        assert (completion.usage.guide2_prompt_tokens > 0) == several
        assert any(step.guides for step in completion.steps) == several
        stored = answer_from_json("x", record["signature"], again.steps, record, whole_lists=True)
        assert replay_answer(stored, blend).outcome == "same"


def test_many_answers_with_two_guides_are_those_made_alone(pair):
    """The scheduler runs the questions to each guide in batches of its own."""
    texts = ("the hello world", "or", "a world of hello")
    rows = [Request(f"{blend.method} {text}", text, blend, answer=LIMITS) for blend in WAYS for text in texts]
    for row, completion in list(pair.answer_all(rows)):
        alone = pair.respond(row.messages, blend=row.blend, answer=LIMITS)
        steps, others = whole(completion), whole(alone)
        assert [(step.bytes, step.proposer) for step in steps] == [(s.bytes, s.proposer) for s in others]


def test_drafts_change_nothing_with_two_guides(pair, monkeypatch):
    """The first guide drafts; the second is asked where it would have been asked anyway."""
    monkeypatch.setattr(drafter, "MIN_EVALUATION_S", 0.0)
    for blend in WAYS:
        plain, drafted = (
            pair.respond(
                "hello hello the world", blend=blend, answer=replace(LIMITS, draft=mode, max_tokens=30)
            )
            for mode in ("off", "guide")
        )
        assert [(step.bytes, step.source) for step in whole(drafted)] == [
            (step.bytes, step.source) for step in whole(plain)
        ]
        if blend.method not in {"base", "guide"}:
            assert drafted.timings.drafted


def test_the_same_guide_twice_is_the_guide_once(files):
    """Also as two real models: every step and its weight are the same."""
    base, guide, _ = files
    with Pair(PairSetup(base, guide, TEMPLATE, EXACT, EXACT)) as one:
        once = [one.respond("hello", blend=blend, answer=LIMITS) for blend in WAYS]
    with Pair(PairSetup(base, guide, TEMPLATE, EXACT, EXACT, guide2=guide)) as both:
        twice = [both.respond("hello", blend=blend, answer=LIMITS) for blend in WAYS]

    for alone, other in zip(once, twice, strict=True):
        assert [(step.bytes, step.alpha, step.guide_top) for step in other.steps] == [
            (step.bytes, step.alpha, step.guide_top) for step in alone.steps
        ]
        assert "guides" not in json.dumps(completion_to_json(alone))


@pytest.mark.parametrize(
    ("given", "weights"),
    [([1, 2.5], (1.0, 2.5)), ("1 2.5", (1.0, 2.5)), ("equal", ()), ([], ())],
)
def test_a_row_gives_weights_as_a_list_or_as_a_text(given, weights):
    """As cells of a table are texts."""
    assert settings_in({"guide_weight": given}, DEFAULTS).blend.guide_weight == weights


@pytest.mark.parametrize(
    ("typed", "weights"), [(["1", "2.5"], (1.0, 2.5)), (["1 2.5"], (1.0, 2.5)), (["equal"], ())]
)
def test_weights_on_the_command_line_are_numbers_or_the_word(typed, weights):
    """`--guide-weight equal` takes those of a pair back; another word is refused with the option's name."""
    assert BlendOptions(guide_weight=typed).settings() == {"guide_weight": weights}
    with pytest.raises(UsageError, match="--guide-weight is 'x'"):
        BlendOptions(guide_weight=["x", *typed]).settings()


@pytest.mark.parametrize("given", [["x"], [True], "1 x", 3, [0], [1e9], [float("nan")], [[1]]])
def test_a_row_with_other_weights_is_refused(given):
    """With the name of the setting."""
    with pytest.raises(UsageError, match=r"guide.weight"):
        settings_in({"guide_weight": given}, DEFAULTS)
