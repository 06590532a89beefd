"""Stored answers as they are shown: together by question, cut where they were cut, and safe to print."""

from __future__ import annotations

import json

import pytest

from blendin_local.core.record_json import completion_to_json
from blendin_local.jobs.replay.answer_file import read_answers
from blendin_local.reports.answer_html import render_stored
from blendin_local.settings import AnswerSettings, BlendSettings
from blendin_local.views.stored_answers import answer_facts, answers_view, by_question
from tests.answers import rendered
from tests.jobs.replays import answered, trace_lines

WORDS = {b" one": 0.3, b" two": 0.2}


def line(method="blendin", question="Why?", stop=(), form="own", custom_id="a"):
    """A line of a batch: an answer of eight words at most, or up to a stop string."""
    answer = AnswerSettings(max_tokens=8, stop=stop, top_logprobs=100, loop_guard=False)
    said = answered(lambda _: WORDS, lambda _: {b" two": 0.9}, BlendSettings(method=method), answer=answer)
    record = {"messages": [{"role": "user", "content": question}], **completion_to_json(said)}
    if form == "own":
        return json.dumps({"custom_id": custom_id, **record})
    text = record.pop("text")
    choice = {"message": {"role": "assistant", "content": text}} if form == "chat" else {"text": text}
    return json.dumps({"custom_id": custom_id, "response": {"body": {**record, "choices": [choice]}}})


def stored(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return read_answers(path).answers


def test_answers_to_one_question_stand_together(tmp_path):
    """In the order in which questions first come, each with who answered."""
    answers = stored(
        tmp_path / "f.jsonl",
        *(line(method, question, custom_id=f"{question}{method}") for method in ("base", "guide", "blendin")
          for question in ("Why?", "How?")),
    )  # fmt: skip
    shown = rendered(answers_view(answers, "ascii")).split("\n\n")

    assert [[each.blend.method for each in same] for same in by_question(answers)] == [
        ["base", "guide", "blendin"]
    ] * 2
    assert [block.split()[0] for block in shown[:2]] == ["Why?", "How?"]
    assert all("base alone" in block and "guide alone" in block for block in shown[:2])
    assert "[two]" in shown[0]


@pytest.mark.parametrize("form", ["own", "chat", "completion"])
def test_a_stop_string_is_not_part_of_the_text(tmp_path, form):
    """It ended the answer and is cut off, in every form of a batch."""
    [answer] = stored(tmp_path / "f.jsonl", line(stop=(" two two",), form=form, method="guide"))

    assert answer.text == ""
    assert "two" not in rendered(answers_view([answer], "none"))
    assert answer_facts(answer)[-1] == "ended at a stop string"


def test_how_often_the_guide_was_asked_is_told_where_there_are_two_models(tmp_path):
    """A model alone has nothing to ask."""
    alone, guided = stored(tmp_path / "f.jsonl", line("base"), line("blendin"))

    assert answer_facts(alone) == ["a", "8 steps", "cut at --max-tokens"]
    assert answer_facts(guided) == ["a", "8 steps", "100.0 % asked", "100.0 % changed", "cut at --max-tokens"]


def test_a_record_that_is_cut_off_says_so(tmp_path):
    """All of its steps are shown, on the terminal and on the page."""
    lines = trace_lines(answered(lambda _: WORDS, lambda _: {b" two": 0.9}, BlendSettings()))
    [answer] = stored(tmp_path / "t.jsonl", *lines[:-1])

    assert answer.stopped_by is None
    assert answer.text == " two" * len(answer.steps)
    assert answer_facts(answer)[-1] == "the record is cut off here"
    assert "the record is cut off here" in render_stored([answer])


def test_questions_and_names_of_others_are_safe_to_show(tmp_path):
    """Control characters become visible, and markup stays text."""
    evil = "\x1b[2J<b>&"
    answers = stored(tmp_path / "f.jsonl", line(question=evil, custom_id=evil))
    shown, page = rendered(answers_view(answers)), render_stored(answers)

    assert "\x1b" not in shown + page
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page
