"""The recorded answers that come with the program: complete, small, and decided again as they were."""

from __future__ import annotations

import gzip
import json

import pytest

from blendin_local.jobs import ReplaySpec, run_replay
from blendin_local.jobs.replay.example import example_path
from blendin_local.views.stored_answers import by_question

METHODS = ["base", "guide", "blendin"]


@pytest.fixture(scope="module")
def report():
    return run_replay(ReplaySpec(example_path()))


def test_every_answer_is_decided_again_as_it_was(report):
    """Steps, sources, alphas and ends are those of the record."""
    assert report.outcomes == {"same": len(report.answers), "differs": 0, "unknown": 0}
    for one in report.answers:
        assert one.stopped_by == one.stored.stopped_by
        assert [step.source for step in one.steps] == [step.source for step in one.stored.steps]
        assert [step.alpha for step in one.steps] == [step.alpha for step in one.stored.steps]


def test_every_question_has_the_answers_of_both_models_and_of_the_pair(report):
    """There are four to six questions, and the guide changed something in every guided answer."""
    questions = by_question(one.stored for one in report.answers)

    assert 4 <= len(questions) <= 6
    assert all([stored.blend.method for stored in same] == METHODS for same in questions)
    guided = [same[2] for same in questions]
    assert all(any(step.source == "changed" for step in stored.steps) for stored in guided)


def test_another_threshold_is_decided_from_the_record(report):
    """Up to the first step that differs."""
    lower = run_replay(ReplaySpec(example_path(), {"threshold": 0.2}))
    nudged = run_replay(ReplaySpec(example_path(), {"method": "nudging"}, "sky-blendin"))

    assert lower.outcomes["unknown"] == 0 < lower.outcomes["differs"]
    assert lower.replayed_rates.asked < report.recorded_rates.asked
    assert nudged.answers[0].known > 0


def test_it_is_small_and_names_no_path():
    """Well under a megabyte, and nothing of the machine that made it but the names of files."""
    data = example_path().read_bytes()
    lines = [json.loads(line) for line in gzip.decompress(data).splitlines()]

    assert len(data) < 300_000
    assert all("/" not in model["file"] for line in lines for model in line["signature"]["models"].values())
