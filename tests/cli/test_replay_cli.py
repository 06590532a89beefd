"""`blendin replay` as a user meets it: traces, JSON and batches of toy models."""

from __future__ import annotations

import gzip
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


def test_the_answers_of_a_file_are_shown(folder):
    """Without another setting each question stands above its answer, and the outcome is told."""
    code, out, _ = blendin("replay", folder / "b.jsonl", "--marks", "ascii")

    assert code == 0
    assert all(f"hello {i}\n" in out for i in range(4))
    assert all(f"line-{i} · 20 steps" in out for i in range(1, 5))
    assert "[changed] by the guide" in out
    assert "4 answers: 4 the same" in out


def test_what_cannot_be_decided_again_is_shown_too(folder):
    """An answer whose candidates were not kept is there, and it is said what is unknown."""
    (folder / "runs.jsonl").write_text(2 * (folder / "run.json").read_text())
    code, out, _ = blendin("replay", folder / "run.json")
    several = " ".join(blendin("replay", folder / "runs.jsonl")[1].split())

    assert code == 0
    assert "run.json · 20 steps" in out
    assert "candidates were not kept" in out
    assert several.count("runs.jsonl: Known up to step") == 2
    assert "2 answers: 0 the same, 0 differ, 2 unknown" in several


def test_a_packed_file_is_read_as_the_file_itself(folder, tmp_path):
    """With gzip's own file, and one that is cut off is an error."""
    packed, cut = tmp_path / "t.jsonl.gz", tmp_path / "cut.gz"
    packed.write_bytes(gzip.compress((folder / "t.jsonl").read_bytes()))
    cut.write_bytes(packed.read_bytes()[:-100])
    plain, unpacked = (
        blendin("replay", path, "--alpha", 0.1, "--json") for path in (folder / "t.jsonl", packed)
    )

    assert plain[0] == unpacked[0] == 0
    assert unpacked[1].replace("t.jsonl.gz", "t.jsonl") == plain[1]
    one_line_error(blendin("replay", cut), 2, "cut.gz cannot be unpacked")


def test_a_page_of_stored_answers(folder, tmp_path):
    """It has every question and answer; not with other settings, and never over the file that is read."""
    page = tmp_path / "page.html"
    code, _, err = blendin("replay", folder / "b.jsonl", "--html", page)
    html = page.read_text()

    assert (code, err) == (0, "")
    assert all(f"hello {i}</div>" in html and f"line-{i + 1} · 20 steps" in html for i in range(4))
    assert html.count('class="answer"') == 4
    assert len(json.loads(html.split('id="steps">')[1].split("</script>")[0])) == html.count('tabindex="-1"')
    one_line_error(
        blendin("replay", folder / "t.jsonl", "--alpha", 0.1, "--html", page), 2, "as they were recorded"
    )
    one_line_error(
        blendin("replay", folder / "t.jsonl", "--html", folder / "t.jsonl"), 2, "the file that is read"
    )
    assert (folder / "t.jsonl").read_text().startswith('{"type": "start"')


def test_the_example_needs_no_model_and_no_file(tmp_path):
    """Base and guide alone stand beside the guided answers, on the terminal, as JSON and as a page."""
    page = tmp_path / "page.html"
    code, out, err = blendin("replay", "--example", "--html", page, BLENDIN_CACHE=str(tmp_path / "none"))
    lower = json.loads(blendin("replay", "--example", "--threshold", 0.2, "--json")[1])

    assert code == 0
    assert all(out.count(f"{name} ") >= 6 for name in ("base alone", "guide alone", "blendin"))
    assert "chosen by hand" in err
    assert page.read_text().count('class="answer"') == 18
    assert lower["totals"]["differs"] > 0
    assert not (tmp_path / "none").exists()


def test_a_file_or_the_example(folder):
    """Neither is an error with the next step, and so are both."""
    one_line_error(blendin("replay"), 2, "no file to replay", "--example")
    one_line_error(blendin("replay", folder / "t.jsonl", "--example"), 2, "instead of a file")
