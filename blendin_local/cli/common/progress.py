"""Progress on stderr, and the message when a run is stopped; the same for all long-running commands.

Here: `show_progress`, a bar on a terminal and a line every few seconds elsewhere; `batch_progress`, the same
for rows; `print_stopped`, which prints how to resume; `duration`, `time_left`, `row_count`.
Not here: what is counted (`jobs.batch.progress`, `jobs.evaluation`), downloads (`cli.common.downloads`).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from blendin_local.cli.common.printing import print_note
from blendin_local.core.percent import percent
from blendin_local.jobs.batch.progress import BatchProgress

LINE_EVERY_S = 5.0
NEARLY_DONE_S = 5.0
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class ProgressLine:
    """What is shown of a progress record.

    Attributes:
        label: How far it is, before the bar: `53 of 200 rows`.
        figures: Speed and time left, after the bar.
        completed: Units of work that are done.
        total: All units of work.
        section: The part of the work under way; outside a terminal a new one is shown at once.
    """

    label: str
    figures: str
    completed: int
    total: int
    section: str = ""


@contextmanager
def show_progress(
    err: Console, describe: Callable[[Record], ProgressLine], start: Record | None = None
) -> Iterator[Callable[[Record], None]]:
    """An `on_progress` callback that shows each record it gets.

    Nothing is shown before the first record, so a question may still be asked in the block until then.

    Args:
        err: Where it is shown.
        describe: Turns a record into what is shown of it.
        start: A record to begin with.
    """
    if err.quiet or not err.is_terminal or err.is_dumb_terminal:
        lines = _Lines(err, describe)
        if start is not None:
            lines(start)
        yield lines
        return
    columns = (
        TextColumn("{task.fields[label]}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeElapsedColumn(),
    )
    bar = Progress(*columns, console=err, refresh_per_second=4)
    task = bar.add_task("", total=None, label="", figures="", start=False)

    def on_progress(record: Record) -> None:
        line = describe(record)
        bar.update(task, total=line.total, completed=line.completed, label=line.label, figures=line.figures)
        if not bar.live.is_started:
            bar.start_task(task)
            bar.start()

    try:
        if start is not None:
            on_progress(start)
        yield on_progress
    finally:
        bar.stop()


class _Lines(Generic[Record]):
    """Prints a line for each new section, and within one not more often than every few seconds.

    Without a section the first record only starts the clock.
    """

    def __init__(self, err: Console, describe: Callable[[Record], ProgressLine]) -> None:
        self._err, self._describe = err, describe
        self._last, self._section = 0.0, ""
        self._begun = False

    def __call__(self, record: Record) -> None:
        line, now = self._describe(record), monotonic()
        if not self._begun:
            self._begun, self._last = True, now
        if line.section == self._section and now - self._last < LINE_EVERY_S:
            return
        self._last, self._section = now, line.section
        self._err.print(f"{line.label} · {line.figures}", soft_wrap=True)


@contextmanager
def batch_progress(
    err: Console, start: BatchProgress | None = None
) -> Iterator[Callable[[BatchProgress], None]]:
    """An `on_progress` callback for the rows of a batch.

    Args:
        err: Where it is shown.
        start: How far the batch is before the run, if it is known.
    """
    with show_progress(err, batch_line, start) as on_progress:
        yield on_progress


def batch_line(progress: BatchProgress) -> ProgressLine:
    """Rows that are finished, and the figures of this run."""
    finished = progress.answered + progress.failed
    label = f"{finished} of {row_count(progress.wanted)}"
    return ProgressLine(label, batch_figures(progress), finished, progress.wanted)


def batch_figures(progress: BatchProgress) -> str:
    """Speed, share of asked and changed steps, time left, and failures in one line."""
    now = progress.blend_now
    parts = [f"{progress.tokens_per_second:.1f} tokens/s"]
    if now.steps:
        parts.append(f"{percent(now.asked / now.steps)} asked, {percent(now.changed / now.steps)} changed")
    if now.guide_silent:
        parts.append(f"no suggestion from the guide at {now.guide_silent} of {now.asked or now.steps} steps")
    if progress.left and progress.seconds_left is not None:
        parts.append(time_left(progress.seconds_left))
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """`42 s`, `12 min` or `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def time_left(seconds: float) -> str:
    """`12 min left`; near the end no figure, which would stand still while the last rows are answered."""
    return "nearly done" if seconds < NEARLY_DONE_S else f"{duration(seconds)} left"


def row_count(n: int) -> str:
    """`1 row` or `7 rows`."""
    return f"{n} row" if n == 1 else f"{n} rows"


def print_stopped(err: Console, kept: str, *, without: Collection[str] = ()) -> None:
    """Say what a stopped run has kept and how to resume it, also where `--quiet` was given.

    Args:
        err: Where it is printed.
        kept: What is on disk: `3 of 150 rows are finished`.
        without: Options of the command that the next run must not repeat.
    """
    err.quiet = False
    print_note(err, f"stopped: {kept}; to resume: {resume_command(sys.argv[1:], without)}", style="none")


def resume_command(arguments: Sequence[str], without: Collection[str] = ()) -> str:
    """The command line that resumes a run, quoted for a shell.

    Args:
        arguments: Those of the run that was stopped.
        without: Options to leave out.
    """
    return shlex.join(["blendin", *(word for word in arguments if word not in without)])
