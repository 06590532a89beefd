"""How far an evaluation is: rows left over all cells, at the speed of this run.

Here: `EvalProgress`, the record that a callback gets, and `RowCounter`, which counts.
Not here: how far one cell is (`jobs.batch.progress`), how it is shown (`cli.eval.progress`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from blendin_local.jobs.batch.progress import BatchProgress
from blendin_local.jobs.evaluation.folder import Folder, errors_of
from blendin_local.jobs.evaluation.spec.entrants import Entrant
from blendin_local.jobs.evaluation.spec.tasks import Task
from blendin_local.jobs.evaluation.spec.variants import Variant


@dataclass(frozen=True, slots=True)
class EvalProgress:
    """How far an evaluation is.

    Attributes:
        cell: `PAIR, BENCHMARK, VARIANT` under way.
        number: Its number, from 1.
        cells: Number of cells.
        rows: Progress of its rows; None while options are scored.
        left: Rows left over all cells.
        total: Rows that were left over all cells when this run began.
        seconds_left: At the speed of this run; None before its first row.
    """

    cell: tuple[str, str, str]
    number: int
    cells: int
    rows: BatchProgress | None
    left: int
    total: int
    seconds_left: float | None


OnProgress = Callable[[EvalProgress], None]


class RowCounter:
    """Counts the rows of all cells and reports after each of them.

    Args:
        entrants: Who answers.
        tasks: What is asked.
        folder: Where the answers of earlier runs are.
        on_progress: Called when a cell begins, and after each row.
    """

    def __init__(
        self, entrants: Sequence[Entrant], tasks: Sequence[Task], folder: Folder, on_progress: OnProgress
    ) -> None:
        self._on_progress = on_progress
        self._left = {
            (entrant.pair, task.benchmark.name, variant.name): _left(entrant, task, variant, folder)
            for entrant in entrants
            for task in tasks
            for variant in entrant.variants
        }
        with_options = sum(bool(task.benchmark.likelihood) for task in tasks)
        self._cells = len(self._left) + with_options * sum(len(e.likelihood_roles) for e in entrants)
        self._began, self._total, self._number = monotonic(), sum(self._left.values()), 0
        self._cell = ("", "", "")

    def begin(self, entrant: Entrant, task: Task, what: str) -> None:
        """A cell begins: a variant's answers, or the options of a benchmark scored by one model."""
        self._cell = (entrant.pair, task.benchmark.name, what)
        self._number += 1
        self._report(None)

    def count(self, rows: BatchProgress) -> None:
        """A row of the cell was finished."""
        self._left[self._cell] = rows.left
        self._report(rows)

    def _report(self, rows: BatchProgress | None) -> None:
        left = sum(self._left.values())
        done = self._total - left
        seconds = (monotonic() - self._began) * left / done if done > 0 else None
        total = max(self._total, left)  # failed rows that are asked again come back
        self._on_progress(EvalProgress(self._cell, self._number, self._cells, rows, left, total, seconds))


def _left(entrant: Entrant, task: Task, variant: Variant, folder: Folder) -> int:
    path = folder.answers(entrant.pair, task.benchmark.name, variant.name)
    return max(0, len(task.items) - rows_kept(path) - rows_kept(errors_of(path)))


def rows_kept(path: Path) -> int:
    """Number of lines in a file; 0 if there is none."""
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0
