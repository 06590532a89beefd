"""An answer as bytes and back: nothing of it is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.record_json import completion_from_json, completion_to_json
from blendin_local.core.records import (
    Candidate,
    CandidateLists,
    Completion,
    SideQuery,
    Step,
    StoppedBy,
    Timings,
    Usage,
)
from blendin_local.core.shortened import with_shortened_steps
from blendin_local.core.shown_steps import shown_steps
from blendin_local.history.records import packed, unpacked
from tests.answers import LISTS, asked_step, base_step, completion

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
p = st.floats(0, 1)
candidates = st.builds(Candidate, st.binary(max_size=5), p)
lists = st.none() | st.lists(candidates, max_size=4).map(tuple)
side_queries = st.builds(
    SideQuery,
    st.sampled_from(["base", "guide", "untuned"]),
    st.binary(max_size=3),
    candidates,
    lists,
    st.none() | p,
)
steps = st.builds(
    Step,
    i=st.integers(0, 10**6),
    bytes=texts.map(str.encode),
    source=st.sampled_from(["base", "kept", "changed", "guide", "forced"]),
    alpha=st.none() | p,
    base_top=st.none() | candidates,
    guide_top=st.none() | candidates,
    candidates=st.none() | st.builds(CandidateLists, lists, lists, lists),
    further=st.lists(side_queries, max_size=2).map(tuple),
    untuned_top=st.none() | candidates,
    silent=st.sampled_from([(), ("base",), ("guide", "base")]),
    legal_base=st.none() | p,
    legal_guide=st.none() | p,
)
counts = st.integers(0, 10**9)
milliseconds = st.integers(0, 10**9).map(lambda microseconds: microseconds / 1000)
completions = st.builds(
    Completion,
    text=texts,
    steps=st.lists(steps, max_size=5).map(tuple),
    stopped_by=st.sampled_from(get_args(StoppedBy)),
    end=st.none() | steps.map(lambda step: replace(step, bytes=b"")),
    usage=st.builds(Usage, counts, counts, counts, counts),
    timings=st.builds(
        Timings,
        load_ms=milliseconds,
        generation_ms=milliseconds,
        threads=st.dictionaries(
            st.sampled_from(["base", "guide"]), st.dictionaries(st.integers(1, 99), counts)
        ),
    ),
    signature=st.fixed_dictionaries({"blend": st.fixed_dictionaries({"method": texts})}),
    notices=st.lists(texts, max_size=2).map(tuple),
    complete=st.sampled_from([None, True, False]),
)


@given(completions)
def test_an_answer_is_read_back_equal(made):
    """Every step, the end, whether it has its form, counts, times to a microsecond, signature and notices."""
    assert unpacked(packed(made), made.text, made.signature) == made


@given(completions)
def test_the_json_of_an_answer_is_read_back_equal(made):
    """Through the text of a file, as /save writes it."""
    record = json.loads(json.dumps(completion_to_json(made)))
    assert completion_from_json(record) == made


def test_the_third_model_is_counted_if_there_was_one():
    """Its tokens are in the JSON only where its prompt has any."""
    made = replace(completion(base_step(0, b"x")), usage=Usage(1, 2, 3, 4, 5, 6))
    assert completion_from_json(completion_to_json(made)) == made


def test_the_shown_steps_make_up_the_text():
    """A stop string cut off at the end is in no step that is shown."""
    made = completion(base_step(0, b"Yes"), base_step(1, b".\nQ"), base_step(2, b":"), text="Yes.")
    assert [text for _, text in shown_steps(made)] == ["Yes", "."]
    assert [text for _, text in shown_steps(replace(made, text="Yes.\nQ:"))] == ["Yes", ".\nQ", ":"]


def test_shortened_steps_keep_the_first_candidates():
    """Of the end as of every step; none for 0."""
    made = replace(completion(asked_step(0)), end=asked_step(1))
    one = with_shortened_steps(made, 1)
    assert one.steps[0].candidates == CandidateLists(LISTS.base[:1], LISTS.guide[:1], LISTS.blend[:1])
    assert one.end.candidates == one.steps[0].candidates
    assert with_shortened_steps(made, 0).end.candidates is None
