"""Cells by pair, benchmark and method, and the record of a table or figure made of them.

Here: `PaperTable`, `CellGrid`, and how numbers are written in tables.
Not here: which tables and figures there are (`tables`, `figures`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blendin_local.jobs.evaluation.score.cells import Cell
from blendin_local.jobs.evaluation.spec.plan import EvalPlan
from blendin_local.jobs.evaluation.spec.variants import TEMPERATURE

Row = tuple[str, ...]
MISSING = "-"


@dataclass(frozen=True)
class PaperTable:
    """One of the paper's tables or figures.

    Attributes:
        name: Its name in the paper, such as `Table 1`.
        title: What it shows.
        head: Names of the columns.
        ours: Rows of this evaluation.
        theirs: Rows of the paper, where it has such a table.
        notes: What has to be known to read it.
        points: What is drawn, for figures.
    """

    name: str
    title: str
    head: Row
    ours: tuple[Row, ...]
    theirs: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    points: Mapping[str, Any] = field(default_factory=dict)


class CellGrid:
    """Cells by pair, benchmark and variant; only those of greedy answers, as the paper's are."""

    def __init__(self, plan: EvalPlan, cells: Sequence[Cell]) -> None:
        self.plan = plan
        cells = [cell for cell in cells if TEMPERATURE not in cell.settings]
        self._by_name = {(cell.pair, cell.benchmark, cell.variant): cell for cell in cells}
        self.variants = list(dict.fromkeys(cell.variant for cell in cells))

    def get(self, pair: str, benchmark: str, variant: str) -> Cell | None:
        """A cell with a score, or None."""
        cell = self._by_name.get((pair, benchmark, variant))
        return cell if cell is not None and cell.score is not None else None

    def pairs_by_benchmark(self) -> Iterator[tuple[str, str]]:
        """Benchmarks and pairs, a benchmark's pairs together."""
        for benchmark in self.plan.benchmarks:
            for pair in self.plan.pairs:
                yield pair, benchmark

    def title(self, benchmark: str) -> str:
        """The benchmark's name in tables."""
        known = self.plan.benchmarks.get(benchmark, {})
        return str(known.get("title", benchmark))

    def score(self, pair: str, benchmark: str, variant: str) -> str:
        """The score as it is written in a table."""
        cell = self.get(pair, benchmark, variant)
        return MISSING if cell is None or cell.score is None else f"{cell.score.value:.2f}"

    def value(self, pair: str, benchmark: str, variant: str) -> float | None:
        """The score itself."""
        cell = self.get(pair, benchmark, variant)
        return None if cell is None or cell.score is None else cell.score.value

    def rate(self, pair: str, benchmark: str, variant: str) -> float | None:
        """The intervention rate, in percent."""
        cell = self.get(pair, benchmark, variant)
        return None if cell is None or cell.intervention_rate is None else 100 * cell.intervention_rate


def two_digits(value: float | None) -> str:
    """`0.31`."""
    return MISSING if value is None else f"{value:.2f}"


def signed(value: float | None) -> str:
    """`+0.31`."""
    return MISSING if value is None else f"{value:+.2f}"
