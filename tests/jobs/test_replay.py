"""Deciding a stored answer again: laws on scripted models, then examples and broken files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.core.candidates import END
from blendin_local.core.methods import METHODS
from blendin_local.core.records import step_to_json
from blendin_local.errors import UsageError
from blendin_local.jobs.replay.reading import read_recordings
from blendin_local.jobs.replay.recording import step_from_json
from blendin_local.jobs.replay.replay import replay
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from tests.jobs.replays import EMOJI, answered, chatter, json_object, stored, trace_lines
from tests.scripted import spoken

blends = st.builds(
    BlendSettings,
    method=st.sampled_from(sorted(METHODS)),
    threshold=st.sampled_from([0.0, 0.3, 0.4, 0.5, 0.7, 1.0]),
    alpha=st.sampled_from([None, 0.0, 0.3, 0.5, 0.9, 1.0]),
    top_k=st.sampled_from([3, 100]),
)
samplings = st.builds(
    SamplingSettings,
    temperature=st.sampled_from([0.0, 0.0, 0.8, 1.5]),
    top_p=st.sampled_from([1.0, 0.8]),
    seed=st.integers(0, 99),
)
models = st.tuples(st.integers(0, 999), st.sampled_from([0.2, 0.6, 0.9]))
limits = st.builds(
    AnswerSettings,
    max_tokens=st.integers(1, 24),
    stop=st.sampled_from([(), (".\n",), ("a b",)]),
    evidence=st.just(True),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("replay") / "trace.jsonl"


def said(steps):
    return [(step.bytes, step.source) for step in steps]


@given(models, models, blends, samplings, limits)
@settings(deadline=None)
def test_the_same_settings_decide_the_same(path, base, guide, blend, sampling, limit):
    """Replayed with its own settings, every step, its source, its alpha and the end come out again."""
    completion = answered(chatter(*base), chatter(*guide), blend, sampling, limit)

    again = replay(stored(path, completion), blend)

    assert again.outcome == "same"
    assert [replace(step, candidates=None, further=()) for step in again.steps] == [
        replace(step, candidates=None, further=()) for step in completion.steps
    ]
    assert again.stopped_by == completion.stopped_by
    assert (again.then, again.unknown) == (completion.blend, 0)


@given(models, models, blends, blends, samplings, limits)
@settings(deadline=None, max_examples=300)
def test_other_settings_agree_with_really_running_them(path, base, guide, blend, other, sampling, limit):
    """A real run with the new settings takes the replayed steps, and differs where the replay says so."""
    scripts = chatter(*base), chatter(*guide)
    completion = answered(*scripts, blend, sampling, limit)
    really = answered(*scripts, other, sampling, limit)

    again = replay(stored(path, completion), other)

    assert said(again.steps) == said(really.steps[: len(again.steps)])
    recorded = [*completion.steps, *([completion.end] if completion.end else [])]
    decisions = [*really.steps, *([really.end] if really.end else [])]
    if again.outcome == "same":
        assert (really.text, really.stopped_by) == (completion.text, again.stopped_by)
        assert said(again.steps) == said(really.steps)
    elif again.outcome == "differs":
        assert again.after.bytes == decisions[again.i].bytes != recorded[again.i].bytes == again.before.bytes
        assert again.after.source == decisions[again.i].source
    else:
        assert again.i == len(again.steps)
        assert again.reason


@given(models, models, blends, samplings)
@settings(deadline=None)
def test_a_step_survives_being_written_and_read(base, guide, blend, sampling):
    """A step's JSON read back is the step, with every list and all that was heard."""
    limit = AnswerSettings(max_tokens=8, evidence=True, top_logprobs=4)
    for step in answered(chatter(*base), chatter(*guide), blend, sampling, limit).steps:
        assert step_from_json(json.loads(json.dumps(step_to_json(step)))) == step


@given(models, models, blends, blends, st.sampled_from([0, 2, 100]))
@settings(deadline=None)
def test_what_json_keeps_is_never_taken_for_more(path, base, guide, blend, other, kept):
    """From `--json --top-logprobs N` nothing else is claimed than from a trace, only less."""
    completion = answered(chatter(*base), chatter(*guide), blend)
    path.write_text(json_object(completion, kept))
    [poorer] = read_recordings(path).recordings

    little, much = replay(poorer, other), replay(stored(path, completion), other)

    assert said(little.steps) == said(much.steps[: len(little.steps)])
    if little.outcome != "unknown":
        assert (little.outcome, little.i) == (much.outcome, much.i)
    elif kept == 100 and much.outcome != "unknown":
        pytest.fail(f"all lists are there, but: {little.reason}")
