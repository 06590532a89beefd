"""Drafts change nothing: with them every answer is the one it would be without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blendin_local.core.methods import METHODS, STEERED
from blendin_local.core.prompts import Message
from blendin_local.decode import drafter
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from tests.near_ties import whole
from tests.prompts import TEMPLATE
from tests.toys import make_toy

EXACT = ModelSettings(ctx_size=512, threads=1, kv_type="f32", flash_attention="off")
LIMITS = AnswerSettings(max_tokens=40, loop_guard=False, top_logprobs=4, draft="off")
QUESTIONS = ("the hello world", "hello hello hello or the world, hello hello", "or")
WITHOUT_VECTORS = [method for method in METHODS if method != STEERED]  # test_steering has that one
MODES = ("guide", "ngram", "both", "auto")
SAMPLED = SamplingSettings(temperature=0.9, seed=3)


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch):
    """`auto` leaves models as fast as toys alone."""
    monkeypatch.setattr(drafter, "MIN_EVALUATION_S", 0.0)


@pytest.fixture(scope="module", params=["guide is the base", "guide is another"])
def trio(request, tmp_path_factory):
    """Toys: where the guide is the base itself, most of its guesses come true; of another's, hardly any."""
    folder = tmp_path_factory.mktemp("trio")
    base, other, untuned = (make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in range(3))
    guide = base if request.param == "guide is the base" else other
    with Pair(PairSetup(base, guide, TEMPLATE, EXACT, EXACT, n_parallel=3, untuned=untuned)) as opened:
        yield opened


def assert_same(ours, theirs):
    """The same steps for the same reasons; probabilities differ by the rounding of batch shapes."""
    assert [(s.bytes, s.source) for s in whole(ours)] == [(s.bytes, s.source) for s in whole(theirs)]
    assert ours.stopped_by == theirs.stopped_by
    for a, b in zip(whole(ours), whole(theirs), strict=True):
        if a.base_top:
            assert a.base_top.p == pytest.approx(b.base_top.p, abs=1e-4)
        if a.guide_top:
            assert a.guide_top.p == pytest.approx(b.guide_top.p, abs=1e-4)


@pytest.mark.parametrize("method", WITHOUT_VECTORS)
@pytest.mark.parametrize("sampling", [SamplingSettings(), SAMPLED], ids=["greedy", "sampled"])
def test_an_answer_with_drafts_is_the_one_without(trio, method, sampling):
    """For every method, greedy and sampled, whoever makes the drafts."""
    blend = BlendSettings(method=method, threshold=0.3)
    for question in QUESTIONS:
        plain = trio.respond(question, blend=blend, sampling=sampling, answer=LIMITS)
        for mode in MODES:
            drafted = trio.respond(
                question, blend=blend, sampling=sampling, answer=replace(LIMITS, draft=mode)
            )

            assert_same(drafted, plain)


@pytest.mark.parametrize("mode", MODES)
def test_many_answers_with_drafts_are_those_without(trio, mode):
    """The scheduler drafts for several answers at once, also while some have long prompts to read."""
    rows = [
        Request(f"{i} {question}", (Message("user", question),), BlendSettings(method=method, threshold=0.3))
        for i, method in enumerate(WITHOUT_VECTORS)
        for question in (*QUESTIONS, "the hello world " * 40)
    ]

    plain = dict(trio.answer_all([replace(row, answer=LIMITS) for row in rows]))
    drafted = dict(trio.answer_all([replace(row, answer=replace(LIMITS, draft=mode)) for row in rows]))

    expected = {row.key: completion for row, completion in plain.items()}
    for row, completion in drafted.items():
        assert_same(completion, expected[row.key])
