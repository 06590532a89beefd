"""How far an evaluation is: rows left over all cells, at the pace of this run.

Here: `EvalProgress`, and `EvalCounter`, which keeps count.
Not here: how far one cell is (`jobs.batch.progress`), how it is shown (`cli.eval.progress`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from blendin_local.jobs.batch.progress import BatchProgress
from blendin_local.jobs.evaluation.folder import Folder, errors_of
from blendin_local.jobs.evaluation.spec.tasks import Entrant, Task
from blendin_local.jobs.evaluation.spec.variants import Variant


@dataclass(frozen=True, slots=True)
class EvalProgress:
    """How far an evaluation is.

    Attributes:
        cell: `PAIR, BENCHMARK, VARIANT` under way.
        number: Its number, from 1.
        cells: How many there are.
        progress: Of its rows; None while options are read.
        left: Rows left over all cells.
        seconds_left: At the pace so far; None before the first row.
    """

    cell: tuple[str, str, str]
    number: int
    cells: int
    progress: BatchProgress | None
    left: int
    seconds_left: float | None


Listener = Callable[[EvalProgress], None]


class EvalCounter:
    """What is said about how far it is: rows left over all cells, at the pace of this run."""

    def __init__(
        self, entrants: Sequence[Entrant], tasks: Sequence[Task], folder: Folder, listen: Listener
    ) -> None:
        self._listen = listen
        self._left = {
            (entrant.pair, task.benchmark.name, variant.name): _left(entrant, task, variant, folder)
            for entrant in entrants
            for task in tasks
            for variant in entrant.variants
        }
        self._readings = sum(len(entrant.likelihood_roles) for entrant in entrants) * sum(
            bool(task.benchmark.likelihood) for task in tasks
        )
        self._began, self._at_first, self._number = monotonic(), sum(self._left.values()), 0
        self._cell = ("", "", "")

    def begin(self, entrant: Entrant, task: Task, what: str) -> None:
        """A cell, or a reading of options, begins."""
        self._cell = (entrant.pair, task.benchmark.name, what)
        self._number += 1
        self._tell(None)

    def note(self, progress: BatchProgress) -> None:
        """A row was finished."""
        self._left[self._cell] = progress.left
        self._tell(progress)

    def _tell(self, progress: BatchProgress | None) -> None:
        left = sum(self._left.values())
        done = self._at_first - left
        seconds = (monotonic() - self._began) * left / done if done > 0 else None
        cells = len(self._left) + self._readings
        self._listen(EvalProgress(self._cell, self._number, cells, progress, left, seconds))


def _left(entrant: Entrant, task: Task, variant: Variant, folder: Folder) -> int:
    path = folder.answers(entrant.pair, task.benchmark.name, variant.name)
    return max(0, len(task.items) - rows_kept(path) - rows_kept(errors_of(path)))


def rows_kept(path: Path) -> int:
    """Lines of a file that grows; 0 where it is not there."""
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0
