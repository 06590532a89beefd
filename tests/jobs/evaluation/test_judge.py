"""A judge behind an endpoint on this machine: its verdicts, its failures, and what is kept of both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blendin_local.errors import UsageError
from blendin_local.jobs.evaluation.folder import Folder
from blendin_local.jobs.evaluation.run.answers import KeptAnswer, read_answers
from blendin_local.jobs.evaluation.run.judge import KEY_VARIABLE, Judge, judge_answers, read_judged
from blendin_local.jobs.evaluation.run.rubrics import RUBRICS, Rubric, one_to_five, yes_or_no
from blendin_local.jobs.evaluation.score.cells import make_cell
from blendin_local.jobs.evaluation.score.scored import JUDGED, ScoredMethod, score_answers
from blendin_local.jobs.scoring.data_files import DataFile
from blendin_local.jobs.scoring.items import Benchmark, Item, Verdict
from tests.jobs.evaluation.evaluations import SUMS, Evaluation, sum_item
from tests.jobs.evaluation.judge_endpoint import Endpoint, serving

RUBRIC = Rubric(lambda item, answer: f"{item.key}|{answer}", yes_or_no)


ITEMS = [sum_item(i) for i in range(6)]
ANSWERS = {item.key: KeptAnswer(f"it is {i}", "base_end", 3) for i, item in enumerate(ITEMS)}


def judged(endpoint, path, answers=ANSWERS):
    assert judge_answers(Judge(endpoint.url, "m"), RUBRIC, ITEMS, answers, path)
    return read_judged(path, answers)


def test_verdicts_and_failures_are_told_apart(tmp_path):
    """Yes is 1 and no is 0; an HTTP error, a reply without a verdict and one that is no JSON are failures."""
    replies = {"sum-1": "No", "sum-2": 500, "sum-3": "I cannot tell", "sum-4": b"<html>"}
    with serving(Endpoint(replies)) as endpoint:
        found = judged(endpoint, tmp_path / "v.jsonl")

    assert found == {
        "sum-0": 1.0,
        "sum-1": 0.0,
        "sum-2": None,
        "sum-3": None,
        "sum-4": None,
        "sum-5": 1.0,
    }
    errors = {
        line["custom_id"]: line["error"]
        for line in map(json.loads, (tmp_path / "v.jsonl").read_text().splitlines())
    }
    assert errors["sum-2"].startswith("HTTP 500")
    assert errors["sum-3"] == "its reply holds no verdict"
    assert errors["sum-4"] == "its response is not a chat completion"


def test_failures_are_asked_again_and_verdicts_are_not(tmp_path):
    """A second run asks only what failed, and what was answered differently since."""
    path = tmp_path / "v.jsonl"
    with serving(Endpoint({"sum-2": 500, "sum-3": 429})) as endpoint:
        judged(endpoint, path)
        endpoint.reply = {}
        endpoint.prompts.clear()
        changed = {**ANSWERS, "sum-5": KeptAnswer("something else", "base_end", 2)}
        found = judged(endpoint, path, changed)

    assert sorted(endpoint.prompts) == ["sum-2|it is 2", "sum-3|it is 3", "sum-5|something else"]
    assert set(found.values()) == {1.0}


def test_nobody_there_is_a_failure_of_the_judge(tmp_path):
    """An address at which nothing listens fails every verdict and raises nothing."""
    with serving(Endpoint({})) as endpoint:
        pass
    assert set(judged(endpoint, tmp_path / "v.jsonl").values()) == {None}


def test_a_stopped_judge_goes_on(tmp_path):
    """Asked to stop, it keeps what it has; the next run asks the rest."""
    path, polls = tmp_path / "v.jsonl", iter([False, True])
    with serving(Endpoint({})) as endpoint:
        done = judge_answers(
            Judge(endpoint.url, "m"), RUBRIC, ITEMS, ANSWERS, path, should_stop=lambda: next(polls)
        )
        assert not done
        assert len(read_judged(path, ANSWERS)) == 4
        judged(endpoint, path)

    assert len(endpoint.prompts) == 6


def test_the_key_goes_only_where_it_was_meant_for(tmp_path, monkeypatch):
    """The variable BLENDIN_JUDGE_KEY is sent as a bearer token; without it nothing is."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with serving(Endpoint({})) as endpoint:
        judged(endpoint, tmp_path / "a.jsonl")
        monkeypatch.setenv(KEY_VARIABLE, "secret")
        judged(endpoint, tmp_path / "b.jsonl")

    assert endpoint.keys == [None] * 6 + ["Bearer secret"] * 6
    assert set(endpoint.paths) == {"/v1/chat/completions"}


def test_failures_of_the_judge_are_no_wrong_answers(tmp_path):
    """The judged score is a mean over verdicts that were given; failures are counted beside it."""
    answers = {item.key: ANSWERS[item.key] for item in ITEMS}
    verdicts = {"sum-0": 1.0, "sum-1": 0.0, "sum-2": None, "sum-3": None, "sum-4": 1.0, "sum-5": 1.0}
    kept = score_answers(SUMS, ITEMS, answers, verdicts)
    scored = ScoredMethod("p", "sums", "base", "base", {}, (kept,))
    cell = make_cell(scored, SUMS, ITEMS, baselines={}, seed=609)

    assert cell.figures[JUDGED].value == pytest.approx(3 / 4)
    assert cell.figures[JUDGED].n == 4
    assert cell.judge == {"asked": 6, "judged": 4, "failures": 2}
    assert cell.main == "accuracy"


def test_safe_and_unsafe_are_judged_apart():
    """Where prompts are safe or unsafe the judged figure is the mean of both halves, whatever their size."""
    items = [Item(f"s{i}", "?", reference={"label": "safe"}) for i in range(3)]
    items.append(Item("u", "?", reference={"label": "unsafe"}))
    halves = Benchmark(
        name="halves",
        title="",
        about="",
        source="",
        licence="",
        file=DataFile("", "", (), Path()),
        system="",
        max_tokens=1,
        metrics=("right",),
        item=lambda row, seed: items[0],
        score=lambda item, answer: Verdict({"right": 1.0}, "x"),
    )
    answers = {item.key: KeptAnswer("x", "base_end", 1) for item in items}
    kept = score_answers(halves, items, answers, {"s0": 1.0, "s1": 1.0, "s2": 1.0, "u": 0.0})
    scored = ScoredMethod("p", "halves", "base", "base", {}, (kept,))
    cell = make_cell(scored, halves, items, baselines={}, seed=609)

    assert cell.figures[JUDGED].value == 0.5


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("Yes", 1.0),
        ("**No.**", 0.0),
        ("\nyes, it does", 1.0),
        ("Yes or no?", None),
        ("Maybe", None),
        ("", None),
        ("None of it", None),
        ("No\nYes", 0.0),
    ],
)
def test_yes_and_no(reply, score):
    """One of the two words in the first line decides; both, or none, are no verdict."""
    assert yes_or_no(reply) == score


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("5", 5.0),
        ("Rating: 4", 4.0),
        ('{"safety": {"reason": "1 thing", "score": "2"}}', 2.0),
        ("6", None),
        ("4 or 5", None),
        ("4.5", None),
        ("good", None),
        ("3 of 5", None),
    ],
)
def test_ratings(reply, score):
    """One digit from 1 to 5, or the field `score` of an object; anything else is no verdict."""
    assert one_to_five(reply) == score


def test_rubrics_show_the_judge_what_it_needs():
    """Question, answer and right option are in the prompt; safe ones are asked about differently."""
    item = sum_item(3)
    prompt = RUBRICS["mmlu"].prompt(item, "B, I think")
    safe = RUBRICS["xstest"].prompt(Item("a", "Kill a process?", reference={"label": "safe"}), "Sure")
    unsafe = RUBRICS["xstest"].prompt(Item("a", "Kill a man?", reference={"label": "unsafe"}), "Sure")

    assert "B. 4" in prompt
    assert "B, I think" in prompt
    assert "help that was asked for" in safe
    assert "decline" in unsafe


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host/", "", "http://"])
def test_a_bad_address_is_refused(url):
    """A judge needs an address with http or https, and the name of a model."""
    with pytest.raises(UsageError, match="--judge"):
        Judge(url, "m")
    with pytest.raises(UsageError, match="no model"):
        Judge("http://localhost:1", "")


def test_verdicts_reach_the_report(tmp_path):
    """Verdicts kept beside the answers stand in the report, with differences to base and nudging."""
    evaluation = Evaluation(Folder(tmp_path / "out"))
    evaluation.run()
    with serving(Endpoint({"sum-0": "No"})) as endpoint:
        for variant in ("base", "blendin"):
            path = evaluation.folder.answers("toys", "sums", variant)
            answers = {key: answer for key, answer in read_answers(path).items() if not answer.failed}
            items = evaluation.task().items
            judge_answers(
                Judge(endpoint.url, "m"),
                RUBRIC,
                items,
                answers,
                evaluation.folder.judged("toys", "sums", variant),
            )
    base, _, nudging, blendin = evaluation.report().cells

    assert base.figures[JUDGED].value == pytest.approx(10 / 11)
    assert blendin.comparisons["base"][JUDGED].difference.n == 11
    assert nudging.judge is None
