"""What a check found out about a pair, put beside its scores."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from blendin_local.errors import UsageError
from blendin_local.jobs.check.report import KIND, VERSION
from blendin_local.jobs.evaluation.folder import Folder
from blendin_local.jobs.evaluation.score.checks import facts_of, read_check
from blendin_local.jobs.evaluation.spec.plan import CHECK, keep_plan
from blendin_local.reports.paper.paper_tables import paper_tables
from tests.jobs.evaluation.evaluations import Evaluation

BINS = [
    {"low": 0.0, "high": 0.5, "count": 10, "confidence": 0.3, "accuracy": 0.2, "spread": 1.0},
    {"low": 0.5, "high": 1.0, "count": 0, "confidence": 0.75, "accuracy": 0.0, "spread": 0.0},
]


def record(**more):
    """A record of `blendin check --json`, as far as it is read."""
    role = {
        "fit": {"temperature": 1.25},
        "bits_per_byte": 1.1,
        "everywhere": {"error": 0.05, "bins": BINS},
    }
    return {
        "kind": KIND,
        "version": VERSION,
        "pair_name": "toys",
        "answers": {"ranks": {"in_top": {"10": 0.5, "50": 0.7, "100": 0.8}}},
        "calibration": {"base": role},
        "signature": {"models": {"base": {"file": "base.gguf"}, "guide": {"file": "guide.gguf"}}},
        **more,
    }


@pytest.fixture
def path(tmp_path):
    def write(**more):
        file = tmp_path / "check.json"
        file.write_text(json.dumps(record(**more)))
        return file

    return write


def test_a_check_is_found_by_name_or_by_files(path):
    """The pair's name, or both models' files, tell whose check it is; of several the last counts."""
    named, other = read_check(path()), read_check(path(pair_name="", answers=None))
    files = {"base": "base.gguf", "guide": "guide.gguf"}

    assert facts_of([named], "toys", {})["top_50"] == 0.7
    assert facts_of([named, other], "x", files)["top_50"] is None
    assert facts_of([named], "x", {}) is None


def test_figure_4_and_calibration_show_it(path, tmp_path):
    """With a check beside the pair the report has its overlap against each score, and its calibration."""
    evaluation = Evaluation(Folder(tmp_path / "out"))
    evaluation.run()
    plan = evaluation.report().plan
    facts = read_check(path()).facts
    keep_plan(evaluation.folder, replace(plan, pairs={"toys": {CHECK: facts}}))
    report = evaluation.report()
    shown = {display.name: display for display in paper_tables(report.plan, report.cells)}

    assert shown["Figure 4"].ours == (("Sums", "1", "-", "-"),)
    assert shown["Figure 4"].points["series"]["Sums"] == [{"pair": "toys", "x": 0.7, "y": 0.5}]
    assert shown["Calibration"].ours == (("toys base", "0.050", "1.250", "1.100"),)
    assert shown["Calibration"].points["curves"]["toys base"] == [[0.3, 0.2, 10]]


def test_a_newer_check_replaces_the_older(path, tmp_path):
    """A check is no part of what answers hang on: another one is taken, nothing is refused."""
    evaluation = Evaluation(Folder(tmp_path / "out"))
    evaluation.run()
    plan = evaluation.report().plan
    for overlap in (0.7, 0.9):
        keep_plan(evaluation.folder, replace(plan, pairs={"toys": {CHECK: {"top_50": overlap}}}))

    assert evaluation.report().plan.pairs["toys"][CHECK]["top_50"] == 0.9
    assert evaluation.report().complete


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "blendin-trace", "version": 1}'])
def test_something_else_is_named(tmp_path, text):
    """A file that is no record of a check is refused in one line."""
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(UsageError, match="no record of a check"):
        read_check(file)


def test_without_a_check_nothing_is_drawn(tmp_path):
    """Figure 4 and calibration are left out where no pair was checked."""
    evaluation = Evaluation(Folder(tmp_path / "out"))
    evaluation.run()
    report = evaluation.report()

    assert {d.name for d in paper_tables(report.plan, report.cells)} == {
        "Table 1",
        "Table 2",
        "Figure 2",
        "Figure 3",
    }
