"""How far an evaluation is: rows left over all cells, at the pace of this run.

Here: `Moment`, and `EvalProgress`, which keeps count.
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
class Moment:
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


Listener = Callable[[Moment], None]


class EvalProgress:
    """What is said about how far it is: rows left over all cells, at the pace of this run."""

    def __init__(
        self, lineups: Sequence[Entrant], sheets: Sequence[Task], folder: Folder, listen: Listener
    ) -> None:
        self._listen = listen
        self._left = {
            (lineup.pair, sheet.benchmark.name, variant.name): _left(lineup, sheet, variant, folder)
            for lineup in lineups
            for sheet in sheets
            for variant in lineup.variants
        }
        self._readings = sum(len(lineup.readings) for lineup in lineups) * sum(
            bool(sheet.benchmark.likelihood) for sheet in sheets
        )
        self._began, self._at_first, self._number = monotonic(), sum(self._left.values()), 0
        self._cell = ("", "", "")

    def begin(self, lineup: Entrant, sheet: Task, what: str) -> None:
        """A cell, or a reading of options, begins."""
        self._cell = (lineup.pair, sheet.benchmark.name, what)
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
        self._listen(Moment(self._cell, self._number, cells, progress, left, seconds))


def _left(lineup: Entrant, sheet: Task, variant: Variant, folder: Folder) -> int:
    path = folder.answers(lineup.pair, sheet.benchmark.name, variant.name)
    return max(0, len(sheet.items) - rows_kept(path) - rows_kept(errors_of(path)))


def rows_kept(path: Path) -> int:
    """Lines of a file that grows; 0 where it is not there."""
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0
