"""`blendin eval` as a user meets it: fresh processes on toy models, killed, stopped and gone on with."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time

import pytest

from tests.cli_runner import blendin, one_line_error, start
from tests.jobs.evaluation.judge_endpoint import Endpoint, serving
from tests.toys import make_toy

SPEED = ("-t", "1", "--parallel", "1", "--max-tokens", "12")
BENCHMARKS = "xstest,arc-challenge"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two toys."""
    folder = tmp_path_factory.mktemp("eval")
    make_toy(folder / "base.gguf", "plain", ctx=4096)
    make_toy(folder / "guide.gguf", "plain", seed=1, ctx=4096)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return {"BLENDIN_CACHE": str(tmp_path_factory.mktemp("cache"))}


def arguments(models, out, *more, benchmarks=BENCHMARKS, limit="4"):
    pair = ("--base", models / "base.gguf", "--guide", models / "guide.gguf")
    return ["eval", "-o", out, *pair, "-b", benchmarks, "--limit", limit, *SPEED, *more]


@pytest.fixture(scope="module")
def finished(models, cache, tmp_path_factory):
    """A finished evaluation, its folder and the process that made it."""
    out = tmp_path_factory.mktemp("finished") / "out"
    done = blendin(*arguments(models, out), **cache)
    assert done[0] == 0, done[2]
    return out, done[1]


def report_of(out):
    return json.loads((out / "report.json").read_text())


def numbers_of(out):
    """All of a report but its times."""
    return {name: value for name, value in report_of(out).items() if name != "times"}


def test_every_form_of_the_report_is_written(finished):
    """JSON with a cell per benchmark and method, Markdown, a picture, and a page that needs no network."""
    out, stdout = finished
    report = report_of(out)
    page = (out / "report.html").read_text()

    assert report["complete"]
    assert [(c["benchmark"], c["variant"]) for c in report["cells"]] == [
        (benchmark, method)
        for benchmark in BENCHMARKS.split(",")
        for method in ("base", "guide", "nudging", "blendin")
    ]
    assert all(cell["wanted"] == cell["answered"] == 4 for cell in report["cells"])
    assert {reading["role"] for reading in report["readings"]} == {"base", "guide"}
    assert (out / "report.md").read_text().startswith("# Evaluation of base+guide\n")
    assert (out / "report.svg").read_text().startswith("<svg")
    assert "<script" not in page
    assert not re.search(r"(src|href)=[\"']", page)
    assert max(map(len, stdout.splitlines())) <= 80


def test_every_number_has_its_signature(finished):
    """Files with hashes, settings, subset, seed, versions, threads and rows at once stand in the report."""
    signature = report_of(finished[0])["signature"]
    [pair] = signature["pairs"].values()

    assert all(len(model["sha256"]) == 64 for model in pair["models"].values())
    assert signature["protocol"] == {"seed": 609, "subset": 4, "data": "shipped", "sampling": "greedy"}
    assert all(len(facts["sha256"]) == 64 for facts in signature["benchmarks"].values())
    assert signature["machine"]["base+guide"]["n_parallel"] == 1
    assert set(signature["machine"]["base+guide"]["threads"]) == {"base", "guide"}
    assert "llama-cpp-python" in signature["versions"]


def test_two_runs_give_the_same_report(finished, models, cache, tmp_path):
    """A second run of the same command into another folder agrees byte for byte, times aside."""
    assert blendin(*arguments(models, tmp_path / "twin"), **cache)[0] == 0

    assert numbers_of(tmp_path / "twin") == numbers_of(finished[0])


def test_scored_again_without_models(finished, cache, tmp_path):
    """`--score-only` makes the same files from the kept answers; no model has to be there."""
    out, _ = finished
    copy = tmp_path / "copy"
    shutil.copytree(out, copy, ignore=shutil.ignore_patterns("report.*"))
    done = blendin("eval", "-o", copy, "--score-only", "--json", **cache)

    assert done[0] == 0, done[2]
    assert json.loads(done[1]) == report_of(out)
    for form in ("json", "md", "html", "svg"):
        assert (copy / f"report.{form}").read_bytes() == (out / f"report.{form}").read_bytes()


def test_sampled_answers_join_a_finished_evaluation(finished, models, cache, tmp_path):
    """`--temp` adds them to a greedy folder; the same command once more adds nothing."""
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    sampled = arguments(models, copy, "--temp", "0.7", "--seeds", "2", "--min-p", "0.1", "--json")
    first = blendin(*sampled, **cache)
    report = json.loads(first[1])
    cells = {(cell["benchmark"], cell["variant"]): cell for cell in report["cells"]}
    greedy = {(cell["benchmark"], cell["variant"]): cell for cell in report_of(finished[0])["cells"]}

    assert first[0] == 0, first[2]
    assert {key: cell for key, cell in cells.items() if key in greedy} == greedy
    assert cells["xstest", "base[temp=0.7,min-p=0.1]"]["seeds"] == 2
    assert cells["xstest", "nudging[temp=0.7]"]["answered"] == 8
    assert numbers_of(copy)["comparisons"] == report["comparisons"]
    assert blendin(*sampled, **cache)[1] == first[1]


def wait_for_lines(path, n):
    for _ in range(600):
        if path.exists() and path.read_bytes().count(b"\n") >= n:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never had {n} lines")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_and_continued(models, cache, tmp_path, number):
    """Whatever ends a run, the same command goes on; the report is that of a run in one go."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert blendin(*arguments(models, whole, limit="30"), **cache)[0] == 0
    process = start(arguments(models, out, limit="30"), cache)
    wait_for_lines(out / "base+guide" / "xstest" / "guide.jsonl", 5)
    process.send_signal(number)
    process.communicate(timeout=60)
    if number == signal.SIGTERM:
        assert process.returncode == 143
        assert "CUT SHORT" in report_of(out)["title"]
        assert not report_of(out)["complete"]
    done = blendin(*arguments(models, out, limit="30"), **cache)

    assert done[0] == 0, done[2]
    assert numbers_of(out) == numbers_of(whole)


def test_an_aligned_model_runs_alone(finished, models, cache):
    """`--aligned` with the guide's own file scores exactly what the guide alone scores."""
    out, _ = finished
    done = blendin(*arguments(models, out, "--aligned", models / "guide.gguf"), **cache)
    cells = {(c["benchmark"], c["variant"]): c for c in report_of(out)["cells"]}

    assert done[0] == 0, done[2]
    for benchmark in BENCHMARKS.split(","):
        aligned, guide = cells[benchmark, "aligned"], cells[benchmark, "guide"]
        assert aligned["figures"] == guide["figures"]
        assert aligned["ended_by"] == guide["ended_by"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["-b", "nothing"], "no benchmark 'nothing'"),
        (["--methods", "magic"], "no method 'magic'"),
        (["--method", "base"], "--methods"),
        (["--seed", "1"], "other questions"),
        (["--max-tokens", "13"], "other settings"),
        (["--limit", "101"], "only 100 questions"),
        (["--full"], "contradicts --limit 4"),
        (["--temp", "-1"], "temp is -1"),
        (["--min-p", "0.1"], "needs a temperature"),
        (["--judge-model", "m"], "--judge"),
        (["--judge", "nowhere", "--judge-model", "m"], "--judge"),
        (["--data", "/nonexistent"], "cannot be read"),
    ],
)
def test_mistakes_are_one_line(finished, models, cache, more, words):
    """Wrong names and settings that do not fit the folder end with exit code 2 and a line that says so."""
    done = blendin(*arguments(models, finished[0], *more), **cache)

    one_line_error(done, 2, words)


@pytest.mark.parametrize("role", ["--guide", "--aligned"])
def test_a_guide_without_a_template_is_refused_before_anything_runs(models, cache, tmp_path, role):
    """Not when its turn comes, after other pairs have run: the folder is not even begun."""
    bare = make_toy(tmp_path / "bare.gguf", "plain", template=None)
    done = blendin(*arguments(models, tmp_path / "out", role, bare), **cache)

    one_line_error(done, 5, "bare.gguf has no chat template")
    assert not (tmp_path / "out").exists()


def test_all_questions_need_the_complete_data(cache, tmp_path):
    """`--full` alone says how many questions are shipped, and that a folder with all of them is wanted."""
    done = blendin("eval", "-o", tmp_path / "out", "--full", **cache)

    one_line_error(done, 2, "--full: only 100 questions")
    assert "--data" in done[2]


def test_a_judge_is_asked_and_remembered(finished, cache, tmp_path):
    """`--judge` on a finished run loads no model, keeps its verdicts, and asks nothing twice."""
    copy = tmp_path / "copy"
    shutil.copytree(finished[0], copy)
    with serving(Endpoint({})) as endpoint:
        judge = ("eval", "-o", copy, "--score-only", "--judge", endpoint.url, "--judge-model", "m")
        first, asked = blendin(*judge, **cache), len(endpoint.prompts)
        second = blendin(*judge, **cache)
    cells = report_of(copy)["cells"]

    assert first[0] == second[0] == 0, first[2]
    assert asked == len(endpoint.prompts) == 4 * len(cells)
    assert all(cell["judge"]["failures"] == 0 for cell in cells)
    assert {cell["figures"]["judged"]["value"] for cell in cells} == {1.0}
    assert report_of(copy)["signature"]["protocol"]["judge"] == "m"
    assert "Judged by m" in (copy / "report.md").read_text()


def test_a_check_of_the_pair_stands_beside_its_scores(finished, models, cache, tmp_path):
    """The record of `blendin check --json` on the same models brings figure 4 and calibration with it."""
    copy, record = tmp_path / "copy", tmp_path / "check.json"
    shutil.copytree(finished[0], copy)
    pair = ("--base", models / "base.gguf", "--guide", models / "guide.gguf")
    checked = blendin("check", "--json", *pair, "--limit", "2", "-n", "8", "-t", "1", **cache)
    record.write_text(checked[1])
    done = blendin("eval", "-o", copy, "--score-only", "--check", record, **cache)
    names = {display["name"] for display in report_of(copy)["displays"]}

    assert done[0] == 0, done[2]
    assert {"Figure 4", "Calibration"} <= names
    assert report_of(copy)["cells"] == report_of(finished[0])["cells"]


def test_the_help_shows_how_settings_are_given(cache):
    """The brackets of `nudging[threshold=0.3]` are text, not markup that disappears."""
    assert "nudging[threshold=0.3]" in blendin("eval", "--help", COLUMNS="200", **cache)[1]


def test_nothing_to_score(cache, tmp_path):
    """`--score-only` on a folder without an evaluation says so."""
    assert "holds no evaluation" in blendin("eval", "-o", tmp_path, "--score-only", **cache)[2]


def test_the_page_opens_in_a_browser(finished, tmp_path):
    """Headless Chromium draws the page and reports no error."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    picture = tmp_path / "page.png"
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path}",
            f"--screenshot={picture}",
            "--window-size=1000,1500",
            (finished[0] / "report.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert "CONSOLE" not in done.stderr
    assert picture.stat().st_size > 20_000
