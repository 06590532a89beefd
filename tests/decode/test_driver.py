"""The cached loop on scripted models: two vocabularies stay in step with one text."""

from __future__ import annotations

import pytest

from blendin_local.decode.driver import drive
from blendin_local.decode.respond import respond
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from tests.decode.scripted_contexts import finish, role_contexts, without_a_cache


@pytest.mark.parametrize("method", ["base", "guide", "nudging", "blendin"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(12))
def test_the_cached_loop_equals_its_slow_twin_exactly(method, temperature, seed):
    """Whatever is said, both models have read exactly the text, so every step is the same."""
    rules = (
        BlendSettings(method=method, threshold=0.5),
        SamplingSettings(temperature=temperature, seed=seed),
        AnswerSettings(max_tokens=60, loop_guard=False, top_logprobs=5),
    )

    cached = finish(drive(respond(*rules), role_contexts(seed)))
    slow = without_a_cache(respond(*rules), role_contexts(seed))

    assert cached == slow


def test_a_stop_keeps_what_was_written():
    """should_stop ends the answer after the steps so far."""
    rules = (BlendSettings(), SamplingSettings(), AnswerSettings(max_tokens=60, loop_guard=False))
    polls = iter(range(1000))

    steps, ending = finish(drive(respond(*rules), role_contexts(5), lambda: next(polls) > 12))

    assert ending.stopped_by == "user"
    assert ending.text == b"".join(step.bytes for step in steps)
    assert 0 < len(steps) < 60


def test_a_full_context_ends_the_answer_with_what_it_has():
    """The step that no longer fits is not half made."""
    rules = (BlendSettings(), SamplingSettings(), AnswerSettings(max_tokens=60, loop_guard=False))

    steps, ending = finish(drive(respond(*rules), role_contexts(5, size=20)))

    assert ending.stopped_by == "context"
    assert ending.text == b"".join(step.bytes for step in steps)


def test_the_guide_is_fed_lazily():
    """A guide that is never asked reads nothing; one that is asked late reads all it missed at once."""
    made = role_contexts(5)
    rules = (
        BlendSettings(threshold=0.0),
        SamplingSettings(),
        AnswerSettings(max_tokens=20, loop_guard=False),
    )

    finish(drive(respond(*rules), made))

    assert made["guide"].context.counter.tokens == 0
    assert made["base"].context.counter.tokens > 0
