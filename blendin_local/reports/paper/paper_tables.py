"""The paper's tables and figures, filled with our cells where we have them.

Here: `paper_tables`, without those that our runs do not fill; `report_table`, one of them as words.
Not here: the tables and figures one by one (`tables`, `figures`), how they are drawn
(`reports.evaluation`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from blendin_local.jobs.evaluation.score.cells import Cell
from blendin_local.jobs.evaluation.spec.plan import EvalPlan
from blendin_local.reports.paper.cell_grid import CellGrid, PaperTable
from blendin_local.reports.paper.figures import calibration, figure_2, figure_3, figure_4
from blendin_local.reports.paper.tables import table_1, table_2, table_3, table_5, table_6
from blendin_local.views.evaluation.tables import ReportTable

MAKERS: tuple[Callable[[CellGrid], PaperTable | None], ...] = (
    table_1,
    table_2,
    table_3,
    table_5,
    table_6,
    figure_2,
    figure_3,
    figure_4,
    calibration,
)


def paper_tables(plan: EvalPlan, cells: Sequence[Cell]) -> tuple[PaperTable, ...]:
    """Every table and figure that the cells fill."""
    grid = CellGrid(plan, cells)
    found = (make(grid) for make in MAKERS)
    return tuple(table for table in found if table is not None and table.ours)


def report_table(table: PaperTable) -> ReportTable:
    """One of the paper's tables or figures, the paper's own rows below ours and marked as theirs."""
    theirs = tuple(("paper: " + row[0], *row[1:]) for row in table.theirs)
    return ReportTable(f"{table.name}: {table.title}", table.head, (*table.ours, *theirs), table.notes)
