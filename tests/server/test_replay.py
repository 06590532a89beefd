"""Kept answers with other settings (`/v1/replay`): what it says is what the models would have done."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.http_server import running_server, toy_spec

QUESTIONS = ("the hello world", "hello", "world the the", "a b c", "the world hello the world")
REPLAYED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

questions = st.sampled_from(QUESTIONS)
thresholds = st.floats(0, 1).map(lambda number: round(number, 3))
blends = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["blendin", "nudging", "capped", "agreement", "competition"]),
        "threshold": thresholds,
        "alpha": st.sampled_from(["auto", 0.0, 0.2, 0.5, 0.8, 1.0]),
    }
)
samplings = st.one_of(
    st.just({}), st.fixed_dictionaries({"temperature": st.just(1.5), "seed": st.integers(0, 5)})
)


@pytest.fixture(scope="module")
def server(toys):
    """A server whose answers do not depend on earlier ones."""
    with running_server(toy_spec(*toys, reproducible=True)) as running:
        yield running


def kept(server, question, blend, **sampling):
    """An answer that the server keeps: its id, its steps and its whole reply."""
    reply = server.chat(question, blend={"keep": True, **blend}, **sampling)
    return reply["id"], reply["choices"][0]["blend"], reply


def replay(server, answer_id, blend):
    return server.post("/v1/replay", {"id": answer_id, "blend": blend}).json


@REPLAYED
@given(questions, blends, samplings)
def test_the_same_settings_give_the_same_decisions(server, question, blend, sampling):
    """Whether they are repeated or left out: every step, the counts, the text, and why it ended."""
    answer_id, steps, reply = kept(server, question, blend, **sampling)
    choice = reply["choices"][0]

    for same in (blend, {}):
        found = replay(server, answer_id, same)
        assert (found["outcome"], found["step"], found["known_steps"]) == ("same", len(steps), len(steps))
        assert found["text"] == choice["message"]["content"]
        assert found["replayed"] == found["recorded"]
        assert found["replayed"] == {name: reply["usage"]["blend"][name] for name in ("asked", "changed")}
        assert (found["stopped_by"] == "max_tokens") == (choice["finish_reason"] == "length")


@REPLAYED
@given(questions, blends, samplings, thresholds)
def test_a_higher_threshold_asks_at_least_as_often(server, question, blend, sampling, threshold):
    """And a lower one at most as often, over the steps that are known with both."""
    answer_id, _, _ = kept(server, question, blend, **sampling)
    found = replay(server, answer_id, {"threshold": threshold})
    was, now = found["recorded"]["asked"], found["replayed"]["asked"]

    assert now >= was if threshold >= blend["threshold"] else now <= was


@REPLAYED
@given(questions, samplings, blends, blends)
@example(QUESTIONS[0], {}, {"threshold": 1.0}, {"threshold": 0.0})
def test_the_step_it_names_is_the_first_that_the_models_decide_otherwise(
    server, question, sampling, before, after
):
    """By running them: the same up to there, and there what is said, if it is known what it would be."""
    answer_id, then, _ = kept(server, question, before, **sampling)
    found = replay(server, answer_id, after)
    now = server.chat(question, blend={**before, **after}, **sampling)["choices"][0]["blend"]
    same = found["step"]

    assert [part["text"] for part in now[:same]] == [part["text"] for part in then[:same]]
    assert found["text"] == "".join(part["text"] for part in then[:same])
    sources = [part["source"] for part in now[: found["known_steps"]]]
    assert found["replayed"] == {
        "asked": sum(source in {"kept", "changed"} for source in sources),
        "changed": sources.count("changed"),
    }
    if found["outcome"] == "same":
        assert len(now) == len(then) == same
    elif found["outcome"] == "differs":
        assert text_at(then, same) == found["before"]["text"] != found["after"]["text"] == text_at(now, same)


def text_at(parts, n):
    """The text of a step; nothing where the answer has ended."""
    return parts[n]["text"] if n < len(parts) else ""


def test_every_outcome_occurs(server):
    """The laws above are about all three: asked everywhere, everything is known; asked nowhere, little."""
    asked_everywhere, _, _ = kept(server, QUESTIONS[0], {"threshold": 1.0})
    asked_nowhere, _, _ = kept(server, QUESTIONS[0], {"threshold": 0.0})

    assert replay(server, asked_everywhere, {"threshold": 1.0})["outcome"] == "same"
    assert replay(server, asked_everywhere, {"threshold": 0.0})["outcome"] == "differs"
    assert replay(server, asked_nowhere, {"threshold": 1.0})["outcome"] == "unknown"
