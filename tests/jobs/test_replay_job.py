"""A replay run from Python: what it returns, what it says, and how it stops."""

from __future__ import annotations

import pytest

from blendin_local.core.candidates import END
from blendin_local.errors import UsageError
from blendin_local.jobs import ReplaySpec, run_replay
from blendin_local.settings import AnswerSettings, BlendSettings
from tests.jobs.replays import answered, json_object


@pytest.fixture
def file(tmp_path):
    """Three answers of one file, each with whole lists."""
    path = tmp_path / "answers.jsonl"
    lines = []
    for i in range(3):
        base = lambda text, i=i: {b" word": 0.28 + i / 20, END: 0.1}  # noqa: E731
        answer = AnswerSettings(max_tokens=4, evidence=True)
        completion = answered(base, lambda _: {b"\n": 0.6, b" x": 0.3}, BlendSettings(), answer=answer)
        lines.append(json_object(completion, 100) + "\n")
    path.write_text("".join(lines))
    return path


def test_a_replay_from_python_prints_nothing_and_reports_progress(file, capfd):
    """Every answer is decided with the new setting, and with nothing changed all are the same."""
    seen = []
    report = run_replay(ReplaySpec(str(file), {"threshold": 0.0}), on_progress=seen.append)

    assert [(now.done, now.total) for now in seen] == [(1, 3), (2, 3), (3, 3)]
    assert {one.blend.threshold for one in report.answers} == {0.0}
    assert report.replayed_rates.intervention_rate == 0 < report.recorded_rates.intervention_rate
    assert run_replay(ReplaySpec(file)).outcomes == {"same": 3, "differs": 0, "unknown": 0}
    assert not report.stopped
    assert capfd.readouterr() == ("", "")


def test_a_stopped_replay_says_so(file):
    """The answers that were decided until then are there."""
    seen = []
    report = run_replay(ReplaySpec(file), on_progress=seen.append, should_stop=lambda: len(seen) == 2)

    assert report.stopped
    assert len(report.answers) == 2


def test_a_line_that_is_cut_off_is_noted(file):
    """The note names the file, and the JSON has the old names beside the new ones."""
    file.write_bytes(file.read_bytes()[:-200])
    notes = []
    report = run_replay(ReplaySpec(file), on_note=notes.append)
    record = report.to_json()

    assert len(notes) == 1
    assert str(file) in notes[0]
    assert record["truncated"] is record["torn"] is True
    for part in (record["totals"], *record["answers"]):
        assert part["then"] == part["recorded"]
        assert part["now"] == part["replayed"]


def test_wrong_settings_and_ids_are_refused(file):
    """An unknown method or id is named before anything is decided."""
    with pytest.raises(UsageError, match="no method 'oracle'"):
        run_replay(ReplaySpec(file, {"method": "oracle"}))
    with pytest.raises(UsageError, match="holds no answer 'x'"):
        run_replay(ReplaySpec(file, answer_id="x"))
