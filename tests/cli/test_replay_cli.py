"""`blendin replay` as a user meets it: traces, JSON and batches of toy models."""

from __future__ import annotations

import json

import jsonschema
import pytest

from tests.cli_runner import SCHEMA, blendin, one_line_error
from tests.toys import make_toy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trace, a JSON object and a batch of two toys that ask at some of their steps."""
    folder = tmp_path_factory.mktemp("replay")
    models = (
        "--base", make_toy(folder / "base.gguf", "sliding"),
        "--guide", make_toy(folder / "guide.gguf", "plain", seed=1),
    )  # fmt: skip
    common = (*models, "-t", 1, "--no-loop-guard", "-n", 20, "--threshold", 0.15)
    code, out, err = blendin("run", "hello", *common, "--trace", folder / "t.jsonl", "--json")
    assert code == 0, err
    (folder / "run.json").write_text(out)
    (folder / "rows.jsonl").write_text("".join(f'{{"prompt": "hello {i}"}}\n' for i in range(4)))
    code, _, err = blendin(
        "batch", folder / "rows.jsonl", "-o", folder / "b.jsonl", *common,
        "--steps", "--top-logprobs", 100,
    )  # fmt: skip
    assert code == 0, err
    return folder


def test_the_trace_holds_what_stdout_need_not(folder):
    """Whole lists stand in the trace at asked steps; `--json` keeps as many as were asked for: none."""
    lines = [json.loads(line) for line in (folder / "t.jsonl").read_text().splitlines()]
    steps = lines[1:-1]

    assert lines[0]["whole_lists"] is True
    for step in steps:
        jsonschema.validate(step, {**SCHEMA["$defs"]["step"], "$defs": SCHEMA["$defs"]})
        assert ("candidates" in step) == (step["source"] in {"kept", "changed"})
    assert 0 < sum("candidates" in step for step in steps) < len(steps)
    assert "candidates" not in json.loads((folder / "run.json").read_text())["steps"][0]


def test_the_same_settings_say_the_same(folder):
    """Without options the answer is decided as it was."""
    code, out, _ = blendin("replay", folder / "t.jsonl")

    assert code == 0
    assert "All 20 steps are the same" in out


def test_a_replay_on_the_terminal_and_as_json(folder):
    """Both tell the first differing step; the JSON holds it before and after."""
    arguments = ("replay", folder / "t.jsonl", "--alpha", 0.1)
    text = blendin(*arguments)[1]
    code, out, err = blendin(*arguments, "--json")
    [answer] = json.loads(out)["answers"]

    assert (code, err) == (0, "")
    assert answer["outcome"] == "differs"
    assert f"Step {answer['step']} is the first that differs" in text
    assert answer["known_steps"] + answer["unknown_steps"] == answer["recorded_steps"] == 20
    assert answer["before"]["bytes"] != answer["after"]["bytes"]
    assert answer["after"]["source"] == "kept"
    assert answer["after"]["candidates"]["blend"][0]["bytes"] == answer["after"]["bytes"]


def test_json_of_a_run_knows_where_it_asked_but_not_what_would_win(folder):
    """Without kept lists the record ends at the first asked step, and says so."""
    [answer] = json.loads(blendin("replay", folder / "run.json", "--alpha", 0.5, "--json")[1])["answers"]

    assert answer["outcome"] == "unknown"
    assert "candidates were not kept" in answer["reason"]


def test_a_batch_is_replayed_row_by_row(folder):
    """Every row has its line and the totals add up; --id shows one."""
    report = json.loads(blendin("replay", folder / "b.jsonl", "--threshold", 0, "--json")[1])
    totals = report["totals"]
    table = blendin("replay", folder / "b.jsonl", "--threshold", 0)[1]
    one = json.loads(blendin("replay", folder / "b.jsonl", "--id", "line-2", "--json")[1])

    assert [answer["id"] for answer in report["answers"]] == [f"line-{i}" for i in range(1, 5)]
    assert totals["same"] + totals["differs"] + totals["unknown"] == totals["answers"] == 4
    assert totals["now"]["intervention_rate"] == 0 < totals["then"]["intervention_rate"]
    assert all(f"line-{i}" in table for i in range(1, 5))
    assert [answer["id"] for answer in one["answers"]] == ["line-2"]


def test_wrong_wishes_are_one_line(folder, tmp_path):
    """An unknown method, id or file, a file that is none, and a setting out of its interval."""
    (tmp_path / "prose.txt").write_text("Once upon a time\n")
    one_line_error(blendin("replay", folder / "t.jsonl", "--method", "oracle"), 2, "oracle", "blendin")
    one_line_error(blendin("replay", folder / "b.jsonl", "--id", "x"), 2, "'x'", "line-1")
    one_line_error(blendin("replay", tmp_path / "none.jsonl"), 2, "cannot be read")
    one_line_error(blendin("replay", tmp_path / "prose.txt", "--json"), 2, "line 1", "--trace")
    one_line_error(blendin("replay", folder / "t.jsonl", "--threshold", 2), 2, "threshold is 2")


def test_a_torn_trace_works_as_far_as_it_goes(folder, tmp_path):
    """A note says that the last line was left out."""
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes((folder / "t.jsonl").read_bytes()[:-4000])
    code, out, err = blendin("replay", torn)

    assert code == 0
    assert "cut off" in err
    assert "the record is cut off here" in out
