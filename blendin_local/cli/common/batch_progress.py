"""How far a batch is, on stderr.

Here: `batch_progress`: a bar on a terminal, a line every few seconds elsewhere, and the sentences of both.
Not here: what is counted (`jobs.batch.progress`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from blendin_local.jobs.batch.progress import BatchProgress

LINE_EVERY_S = 5.0
Listener = Callable[[BatchProgress], None]


def figures(standing: BatchProgress) -> str:
    """Speed, asked share, time left and failures in one line."""
    now = standing.now
    parts = [f"{standing.tokens_per_second:.1f} tokens/s"]
    if now.steps:
        parts.append(f"{now.asked / now.steps:.0%} asked, {now.changed / now.steps:.0%} changed")
    if now.guide_silent:
        parts.append(f"no suggestion of the guide at {now.guide_silent} of {now.asked or now.steps}")
    if standing.left and standing.seconds_left is not None:
        parts.append(f"{duration(standing.seconds_left)} left")
    if standing.failed:
        parts.append(f"{standing.failed} failed")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """`42 s`, `12 min` or `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def row_count(n: int) -> str:
    """`1 row` or `7 rows`."""
    return f"{n} row" if n == 1 else f"{n} rows"


@contextmanager
def batch_progress(err: Console, standing: BatchProgress) -> Iterator[Listener]:
    """A listener for `Batch.answer`.

    Args:
        err: Where it is shown.
        standing: How far the batch is before it begins.
    """
    if err.quiet or not err.is_terminal or err.is_dumb_terminal:
        yield _Lines(err)
        return
    columns = (
        TextColumn("{task.completed:.0f}/{task.total:.0f}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, refresh_per_second=4) as progress:
        done = standing.answered + standing.failed
        task = progress.add_task("", total=standing.wanted, completed=done, figures="")

        def listen(now: BatchProgress) -> None:
            progress.update(task, completed=now.answered + now.failed, figures=figures(now))

        yield listen


class _Lines:
    """Says how far it is, but not more often than every few seconds."""

    def __init__(self, err: Console) -> None:
        self._err = err
        self._last = monotonic()

    def __call__(self, standing: BatchProgress) -> None:
        if monotonic() - self._last < LINE_EVERY_S:
            return
        self._last = monotonic()
        done = standing.answered + standing.failed
        self._err.print(f"{done} of {standing.wanted} rows · {figures(standing)}", soft_wrap=True)
