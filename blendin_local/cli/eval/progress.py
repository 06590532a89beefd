"""How far an evaluation is, on stderr.

Here: `eval_line`, what is shown of an `EvalProgress`; pass it to `cli.common.progress.show_progress`.
Not here: what is counted (`jobs.evaluation.run.progress`), bars and lines (`cli.common.progress`).
"""

from __future__ import annotations

from blendin_local.cli.common.progress import ProgressLine, row_count, time_left
from blendin_local.jobs.evaluation.run.progress import EvalProgress


def eval_line(progress: EvalProgress) -> ProgressLine:
    """`3 of 28: demo · gsm8k · nudging`, then rows of this cell, speed, rows and time left over all cells."""
    cell = " · ".join(progress.cell)
    label = f"{progress.number} of {progress.cells}: {cell}"
    return ProgressLine(label, _figures(progress), progress.total - progress.left, progress.total, cell)


def _figures(progress: EvalProgress) -> str:
    rows, parts = progress.rows, []
    if rows is not None:
        parts.append(f"{rows.answered + rows.failed}/{rows.wanted} rows")
        if rows.finished_now:
            parts.append(f"{rows.tokens_per_second:.0f} tokens/s")
        if rows.failed:
            parts.append(f"{rows.failed} failed")
    parts.append(f"{row_count(progress.left)} left")
    if progress.left and progress.seconds_left is not None:
        parts.append(time_left(progress.seconds_left))
    return " · ".join(parts)
