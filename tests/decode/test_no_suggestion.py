"""Silent mass: a model whose weight is on control tokens makes no suggestion; this is counted and shown."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from blendin_local.core.candidates import END, TokenTable
from blendin_local.core.distribution import Prediction, silent_mass
from blendin_local.core.methods import ASKING_IF_IT_MATTERS, METHODS, UNGATED
from blendin_local.core.prompts import Message
from blendin_local.core.record_json import completion_to_json, step_from_json, step_to_json
from blendin_local.core.records import BlendSummary, no_suggestion_notices, summarize
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from blendin_local.testing.scripted import SILENT, always, converse, predict
from blendin_local.views.answer_tables import source_text, why_headline
from tests.jobs.replays import answered, chatter
from tests.paths import ROOT
from tests.prompts import TEMPLATE
from tests.toys import make_toy

NOBODY = always(x=1.0)
GUIDED = [method for method in METHODS if method not in {"base", "guide", "steer"}]


def mute(_):
    """A guide that wants to say a control token, and holds one word for hardly possible."""
    return {b"x": 1e-5, SILENT: 1 - 1e-5}


def run(method, base, guide, untuned=NOBODY, *, n=12, temperature=0.0, **blend):
    return converse(
        base,
        guide,
        untuned,
        blend=BlendSettings(method=method, **blend),
        sampling=SamplingSettings(temperature=temperature, seed=5),
        answer=AnswerSettings(max_tokens=n, loop_guard=False),
    )


def told(steps):
    return [(step.bytes, step.source, step.silent) for step in steps]


@pytest.mark.parametrize(
    ("weights", "share"),
    [((1, 1, 2, 4), 0.5), ((1, 1, 1, 5), 0.625), ((0, 0, 0, 3), 1.0), ((1, 2, 3, 0), 0.0)],
)
def test_the_share_of_control_tokens(weights, share):
    """Of a word, another, END and a control token only the last is silent; exactly one half still speaks."""
    table = TokenTable.build([b"a", b"b", b"<end>", b""], end_ids=[2])
    array = np.array(weights, dtype=np.float32)
    assert silent_mass(array, table, float(array.sum())) == share
    with np.errstate(divide="ignore"):
        assert Prediction(np.log(array), table, 4).silent == (share > 0.5)


@given(
    st.lists(st.sampled_from([b"a", b"b", b"ab", b"", b" c"]), min_size=2, max_size=40),
    st.data(),
)
def test_silent_is_what_no_candidate_has(pieces, data):
    """The candidates have 1 less the silent mass; silent is who has less than one half on all of them."""
    end_ids = data.draw(st.sets(st.integers(0, len(pieces) - 1), min_size=1))
    logits = data.draw(hnp.arrays(np.float32, len(pieces), elements=st.floats(-9, 9, width=32)))
    table = TokenTable.build(pieces, end_ids)
    prediction = Prediction(logits, table, len(pieces))
    spoken = sum(prediction.candidates.values())
    weights = np.exp(logits)
    assert silent_mass(weights, table, float(weights.sum())) == pytest.approx(1 - spoken, abs=1e-5)
    if abs(spoken - 0.5) > 1e-4:
        assert prediction.silent == (spoken < 0.5)


def test_nudging_does_not_take_what_the_guide_would_hardly_say():
    """At alpha 1 a token of 1e-5 would win; the base's own choice stays, and the step says why."""
    steps, _, _ = run("nudging", always(a=0.3, b=0.2), mute, n=2)

    assert told(steps) == [(b"a", "kept", ("guide",))] * 2
    assert [step.alpha for step in steps] == [0.0, 0.0]
    assert steps[0].guide_top.p == pytest.approx(1e-5, rel=0.01)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("method", GUIDED)
def test_a_silent_guide_leaves_the_base_alone(method, temperature):
    """Whatever the base says, with a guide that makes no suggestion the answer is the base's own."""
    for seed in range(12):
        base = chatter(seed, 0.3)
        steps, ending, _ = run(method, base, mute, n=20, temperature=temperature)
        own, own_ending, _ = run(
            "base", base, mute, n=20, temperature=temperature if method in UNGATED else 0
        )
        assert [step.bytes for step in steps] == [step.bytes for step in own]
        assert ending.stopped_by == own_ending.stopped_by
        assert all(step.silent == (("guide",) if step.asked else ()) for step in steps)
        assert "changed" not in {step.source for step in steps} or temperature


@pytest.mark.parametrize("method", [method for method in GUIDED if method not in UNGATED])
def test_a_silent_base_is_uncertain(method):
    """A top-1 probability above the threshold is not enough where most of the weight is silent."""
    speaking, silent = {b"a": 0.45, b"b": 0.1}, {b"a": 0.45, SILENT: 0.55}
    sure = run(method, lambda _: speaking, always(a=0.9), n=1)
    quiet = run(method, lambda _: silent, always(a=0.9), n=1)

    assert told(sure[0]) == [(b"a", "kept" if method in ASKING_IF_IT_MATTERS else "base", ())]
    [step] = quiet[0]
    assert (step.asked, step.silent) == (True, ("base",))
    assert quiet[2]["guide"].questions


def test_the_guide_speaks_for_a_silent_base():
    """Its suggestion is taken, by NUDGING whole and by BlendIn by its confidence."""
    for method in ("nudging", "blendin", "nudging-words"):
        steps, _, _ = run(method, lambda _: {b"a": 0.45, SILENT: 0.55}, always(b=0.9), n=1)
        assert told(steps) == [(b"b" if method != "nudging-words" else b"b" * 16, "changed", ("base",))]


@pytest.mark.parametrize("method", GUIDED)
def test_where_both_are_silent_the_base_says_its_likeliest(method):
    """There is nothing better, and the step names both."""
    steps, _, _ = run(method, lambda _: {b"a": 0.2, b"b": 0.1, SILENT: 0.7}, mute, n=1)
    assert told(steps) == [(b"a", "kept", ("base", "guide"))]


def test_a_draft_ends_where_the_guide_falls_silent():
    """Words drafted before it are taken; at the place itself the base goes on."""
    guide = lambda text: {b" w%d" % text.count(b"w"): 0.9} if text.count(b"w") < 2 else mute(text)  # noqa: E731
    steps, _, _ = run("nudging-words", always(q=0.3), guide, n=4)
    assert told(steps) == [
        (b" w0", "changed", ()),
        (b" w1", "changed", ()),
        (b"q", "kept", ("guide",)),
        (b"q", "kept", ("guide",)),
    ]


def test_a_silent_untuned_model_moves_nothing():
    """Proxy tuning leaves the base alone where the untuned model makes no suggestion."""
    steps, _, _ = run("proxy", always(a=0.5, b=0.4), always(a=0.2, b=0.7), mute, n=1)
    assert told(steps) == [(b"a", "kept", ("untuned",))]
    assert (
        run("proxy", always(a=0.5, b=0.4), always(a=0.2, b=0.7), always(a=0.7, b=0.2), n=1)[0][0].bytes
        == b"b"
    )


def test_half_a_character_is_not_finished_by_what_nobody_says():
    """The model that proposed it falls silent: the rest is U+FFFD, as with any other dead end."""
    half = "😊".encode()
    base = lambda text: {half[2:]: 1e-5, SILENT: 0.99} if text else {half[:2]: 0.9}  # noqa: E731
    steps, _, _ = run("base", base, mute, n=1)
    assert steps[0].text == "\ufffd"


def test_a_model_alone_says_its_likeliest_and_is_counted():
    """Nobody else can be asked; the notice tells of it."""
    for method in ("base", "guide"):
        steps, _, _ = run(method, mute, mute, n=3)
        assert told(steps) == [(b"x", method, (method,))] * 3
        [notice] = no_suggestion_notices(summarize(steps))
        assert notice.startswith(f"the {method} made no suggestion at 3 of 3 steps")


def test_a_step_says_who_was_silent():
    """Where a step is explained, in a chat, a page or a replay."""
    steps, _, _ = run("nudging", always(a=0.3, b=0.2), mute, n=1)
    assert source_text(steps[0]).endswith("; the guide made no suggestion")
    assert "the guide made no suggestion" in why_headline(steps[0]).plain


def test_missing_suggestions_are_reported_in_words():
    """How often, of how many asked steps; nothing where nobody was silent."""
    summary = BlendSummary(steps=40, asked=12, changed=2, mean_alpha=0.4, base_silent=1, guide_silent=3)
    assert no_suggestion_notices(summary) == (
        "the guide made no suggestion at 3 of 12 asked steps: its weight was on control tokens",
        "the base made no suggestion at 1 of 40 steps: its weight was on control tokens",
    )
    assert no_suggestion_notices(replace(summary, base_silent=0, guide_silent=0)) == ()


@pytest.mark.slow
@given(st.integers(0, 999), st.sampled_from(GUIDED))
@settings(deadline=None)
def test_missing_suggestions_are_kept_in_json(seed, method):
    """Steps come back from their records, the summary counts them, others do not mention it."""
    limits = AnswerSettings(max_tokens=12, evidence=True)
    blend = BlendSettings(method=method)
    completion = answered(chatter(seed, 0.4, 0.2), chatter(seed + 1, 0.4, 0.5), blend, answer=limits)
    steps = [json.loads(json.dumps(step_to_json(step))) for step in completion.steps]
    assert [step_from_json(step) for step in steps] == list(completion.steps)
    counted = completion_to_json(completion)["blend"]
    assert counted["guide_silent"] == sum("guide" in step.get("silent", ()) for step in steps)
    assert counted["base_silent"] == sum("base" in step.get("silent", ()) for step in steps)
    schema = json.loads((ROOT / "docs" / "answer.schema.json").read_text())
    for step in steps:
        jsonschema.validate(step, {**schema, **schema["$defs"]["step"], "required": []})
        assert step.get("silent") != []


def test_a_pair_tells_of_a_silent_guide(tmp_path):
    """With a guide of control tokens the answer is the base's, for one and for many, and a note says so."""
    toys = [make_toy(tmp_path / f"{seed}.gguf", "plain", seed=seed) for seed in (0, 1)]
    one = ModelSettings(ctx_size=256, threads=1)
    limits = AnswerSettings(max_tokens=10, loop_guard=False)
    with Pair(PairSetup(*toys, TEMPLATE, one, one, n_parallel=2)) as pair:
        own = pair.respond("the hello", blend=BlendSettings(method="base"), answer=limits)
        pieces = pair._models["guide"].table.pieces
        mute_table = TokenTable.build([b"", *[b""] * (len(pieces) - 2), b"x"], [0])
        for place in pair._slots:
            place["guide"].table = mute_table
        blend = BlendSettings(threshold=0.99)
        alone = pair.respond("the hello", blend=blend, answer=limits)
        row = Request("a", [Message("user", "the hello")], blend, answer=limits)
        [(_, scheduler)] = pair.answer_all([row])
    for completion in (alone, scheduler):
        assert [step.bytes for step in completion.steps] == [step.bytes for step in own.steps]
        assert completion.blend.asked == completion.blend.guide_silent > 0
        assert any("no suggestion at" in notice for notice in completion.notices)
    assert not any("no suggestion" in notice for notice in own.notices)


def test_a_prediction_of_ordinary_models_is_never_silent():
    """END is something to say, and mass on many unlikely words is too."""
    assert not predict({END: 0.9}).silent
    assert not predict({b"a": 0.01}).silent
    assert predict({b"a": 0.49, SILENT: 0.51}).silent
