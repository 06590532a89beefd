"""Progress lines, and the command that resumes a stopped run."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest

from blendin_local.cli.common import progress
from blendin_local.jobs.batch.formats import BlendCounts
from blendin_local.jobs.batch.progress import BatchProgress
from blendin_local.views.theme import make_console

PROGRESS = BatchProgress(
    wanted=200,
    answered=48,
    failed=2,
    finished_now=30,
    tokens_now=2400,
    seconds=60.0,
    blend=BlendCounts(steps=9999),
    blend_now=BlendCounts(steps=1000, asked=250, changed=100),
)


def test_one_line_has_all_figures():
    """Speed over both models, asked and changed share of this run, time left at its pace, failures."""
    assert (
        progress.batch_figures(PROGRESS)
        == "40.0 tokens/s · 25.0 % asked, 10.0 % changed · 5 min left · 2 failed"
    )


def test_nothing_is_divided_by_nothing():
    """Before the first row there is no pace."""
    fresh = BatchProgress(wanted=3, answered=0, failed=0)

    assert fresh.seconds_left is None
    assert progress.batch_figures(fresh) == "0.0 tokens/s"
    assert fresh.to_json()["blend"]["intervention_rate"] == 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5000, "83 min"), (11_100, "3 h 05 min")]
)
def test_durations(seconds, text):
    """Seconds, minutes or hours, as coarse as one would say it."""
    assert progress.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "nearly done"), (4.9, "nearly done"), (5, "5 s left"), (600, "10 min left")]
)
def test_the_end_has_no_figure_that_stands_still(seconds, text):
    """The last rows take as long as they take."""
    assert progress.time_left(seconds) == text


def test_lines_come_every_few_seconds(monkeypatch):
    """Where there is no terminal a row is no reason to write."""
    clock = iter([0.0, 1.0, 4.9, 5.1, 5.1, 6.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with progress.batch_progress(make_console(stream), PROGRESS) as on_progress:
        for answered in (49, 50, 51, 52):
            on_progress(replace(PROGRESS, answered=answered))

    assert stream.getvalue().splitlines() == [
        "53 of 200 rows · 40.0 tokens/s · 25.0 % asked, 10.0 % changed · 5 min left · 2 failed"
    ]


def test_a_new_section_is_shown_at_once(monkeypatch):
    """Outside a terminal each part of the work gets a line when it begins, however soon that is."""
    monkeypatch.setattr(progress, "monotonic", lambda: 0.0)
    stream = io.StringIO()

    def describe(section):
        return progress.ProgressLine(section, "fast", 1, 2, section=section)

    with progress.show_progress(make_console(stream), describe) as on_progress:
        for section in ("gsm8k", "gsm8k", "mmlu", "gsm8k"):
            on_progress(section)

    assert stream.getvalue().splitlines() == ["gsm8k · fast", "mmlu · fast", "gsm8k · fast"]


def test_the_command_that_resumes(monkeypatch):
    """It is what was typed, quoted for a shell, without what must happen once; shown despite `--quiet`."""
    monkeypatch.setattr(sys, "argv", ["/bin/x", "batch", "my file", "--restart", "-o", "a.jsonl"])
    stream = io.StringIO()
    err = make_console(stream)
    err.quiet = True
    progress.print_stopped(err, "3 of 9 rows are finished", without={"--restart"})

    assert stream.getvalue() == (
        "stopped: 3 of 9 rows are finished; to resume: blendin batch 'my file' -o a.jsonl\n"
    )
