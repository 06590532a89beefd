"""How far an evaluation is, on stderr.

Here: `eval_progress`: a bar on a terminal, a line every few seconds elsewhere.
Not here: what is counted (`jobs.evaluation.run.progress.Moment`), the figures of a batch
(`cli.common.progress`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from blendin_local.cli.common.progress import duration, row_count
from blendin_local.jobs.evaluation.run.progress import Moment

LINE_EVERY_S = 10.0
Listener = Callable[[Moment], None]


def where(moment: Moment) -> str:
    """`3 of 28: demo · gsm8k · nudging`."""
    return f"{moment.number} of {moment.cells}: {' · '.join(moment.cell)}"


def figures(moment: Moment) -> str:
    """Rows of this cell, speed, rows and time left over all cells."""
    progress = moment.progress
    parts = []
    if progress is not None:
        parts.append(f"{progress.answered + progress.failed}/{progress.wanted} rows")
        if progress.finished_now:
            parts.append(f"{progress.tokens_per_second:.0f} tokens/s")
        if progress.failed:
            parts.append(f"{progress.failed} failed")
    parts.append(f"{row_count(moment.left)} left")
    if moment.left and moment.seconds_left is not None:
        parts.append(f"about {duration(moment.seconds_left)}")
    return " · ".join(parts)


@contextmanager
def eval_progress(err: Console) -> Iterator[Listener]:
    """A listener for `jobs.evaluation.run.run.carry_out`."""
    if err.quiet or not err.is_terminal or err.is_dumb_terminal:
        yield _Lines(err)
        return
    columns = (
        TextColumn("{task.fields[where]}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, refresh_per_second=4) as progress:
        task = progress.add_task("", total=None, where="", figures="")
        most = 0

        def listen(moment: Moment) -> None:
            nonlocal most
            most = max(most, moment.left)
            progress.update(
                task, total=most, completed=most - moment.left, where=where(moment), figures=figures(moment)
            )

        yield listen


class _Lines:
    """A line for every cell, and within it not more often than every few seconds."""

    def __init__(self, err: Console) -> None:
        self._err = err
        self._last, self._number = monotonic(), 0

    def __call__(self, moment: Moment) -> None:
        new = moment.number != self._number
        if not new and monotonic() - self._last < LINE_EVERY_S:
            return
        self._last, self._number = monotonic(), moment.number
        self._err.print(f"{where(moment)} · {figures(moment)}", soft_wrap=True)
