"""The server with real models: the same bytes as without one."""

from __future__ import annotations

import pytest

from blendin_local.core.shown_steps import shown_steps
from blendin_local.pair.resolve import PairSpec, open_pair
from tests.http_server import running_server
from tests.prompts import PROMPTS

SETTINGS = {"temperature": 0.7, "seed": 3}


@pytest.fixture(scope="module")
def spec(demo_base_path, demo_guide_path):
    """The demo pair on one thread, whose number changes nothing."""
    model = {"ctx_size": 2048, "threads": 1}
    return PairSpec(
        base=str(demo_base_path),
        guide=str(demo_guide_path),
        base_template="qa",
        base_settings=model,
        guide_settings=model,
        answer={"max_tokens": 24, "draft": "off"},
    )


@pytest.mark.slow
def test_with_one_place_answers_are_those_of_a_pair_without_a_server(spec):
    """Text and steps, greedy and sampled, in a server that has answered other questions before."""
    prompts = PROMPTS[:8]
    with open_pair(spec) as pair:
        greedy = [pair.respond(prompt) for prompt in prompts]
        sampled = [pair.respond(prompt, **SETTINGS) for prompt in prompts]
    with running_server(spec, 1) as server:
        for fields, expected in (({}, greedy), (SETTINGS, sampled)):
            for prompt, completion in zip(prompts, expected, strict=True):
                [choice] = server.chat(prompt, **fields)["choices"]
                assert choice["message"]["content"] == completion.text
                assert choice["finish_reason"] == completion.finish_reason
                sent = [(each["source"], each["alpha"]) for each in choice["blend"]]
                assert sent == [(step.source, step.alpha) for step, _ in shown_steps(completion)]
