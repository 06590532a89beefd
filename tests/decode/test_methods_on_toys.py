"""Every method on tiny models of every kind of memory: looking ahead, a third model, both drivers."""

from __future__ import annotations

import pytest

from blendin_local.core.methods import METHODS, STEERED, roles_of
from blendin_local.core.prompts import Message
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings
from tests.near_ties import whole
from tests.prompts import TEMPLATE
from tests.slow_twin import slow_twin
from tests.toys import KINDS, make_toy

EXACT = ModelSettings(ctx_size=512, threads=1, kv_type="f32", flash_attention="off")
LIMITS = AnswerSettings(max_tokens=9, loop_guard=False, top_logprobs=4)
WAYS = tuple(
    BlendSettings(method=method, threshold=0.3, bridge=bridge, cap=0.4)
    for method in METHODS
    if method != STEERED  # it needs a control vector: test_steering
    for bridge in ("bytes", "prefix")
)
TEXTS = ("the hello world", "a much longer question of hello and the world, hello and the world", "or")


@pytest.fixture(scope="module", params=KINDS)
def trio(request, tmp_path_factory):
    """Three toys of one kind: a base, a guide and an untuned model."""
    folder = tmp_path_factory.mktemp("trio")
    base, guide, untuned = (make_toy(folder / f"{seed}.gguf", request.param, seed=seed) for seed in range(3))
    with Pair(PairSetup(base, guide, TEMPLATE, EXACT, EXACT, n_parallel=3, untuned=untuned)) as opened:
        yield opened


@pytest.mark.slow
def test_every_method_equals_its_slow_twin(trio):
    """Whatever was read ahead and taken back: the same as reading everything anew before each prediction."""
    for blend in WAYS:
        for text in TEXTS[:2]:
            steps = whole(trio.respond(text, blend=blend, answer=LIMITS))

            assert_same(steps, slow_twin(trio, text, blend, LIMITS), blend)


@pytest.mark.slow
def test_every_method_in_a_crowd(trio):
    """Three sequences, all methods at once: every answer is the one it is alone."""
    rows = [
        Request(f"{i} {text}", (Message("user", text),), blend, answer=LIMITS)
        for i, blend in enumerate(WAYS)
        for text in TEXTS
    ]

    results = dict(trio.answer_all(rows))

    for row in rows:
        alone = trio.respond(row.messages, blend=row.blend, answer=LIMITS)
        assert_same(whole(results[row]), whole(alone), row.blend)
        assert results[row].stopped_by == alone.stopped_by
        asked_untuned = results[row].usage.untuned_prompt_tokens > 0
        assert asked_untuned == ("untuned" in roles_of(row.blend.method))


def assert_same(steps, others, blend):
    """The same steps, and probabilities that differ by rounding only."""
    assert [(s.bytes, s.source) for s in steps] == [(s.bytes, s.source) for s in others], blend
    for ours, theirs in zip(steps, others, strict=True):
        for name in ("base_top", "guide_top", "untuned_top"):
            one, other = getattr(ours, name), getattr(theirs, name)
            assert (one is None) == (other is None)
            assert one is None or one.p == pytest.approx(other.p, abs=1e-4)


def test_the_untuned_model_reads_what_the_base_reads(trio):
    """Having been trained on no chat template, it gets the plain prompt."""
    prompts = trio.prompts("hello")

    assert prompts["untuned"] == prompts["base"] != prompts["guide"]
