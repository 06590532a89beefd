"""The paper's tables and figures, filled with our own cells as far as they go.

Here: `displays`; a display that our runs do not fill is left out.
Not here: the displays one by one (`display_tables`, `display_figures`), how they are drawn (`ui`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from blendin_local.jobs.evaluation.board import Cells, PaperTable
from blendin_local.jobs.evaluation.display_figures import calibration, figure_2, figure_3, figure_4
from blendin_local.jobs.evaluation.display_tables import table_1, table_2, table_3, table_5, table_6
from blendin_local.jobs.evaluation.score.cells import Cell
from blendin_local.jobs.evaluation.spec.plan import EvalPlan

MAKERS: tuple[Callable[[Cells], PaperTable | None], ...] = (
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


def displays(plan: EvalPlan, cells: Sequence[Cell]) -> tuple[PaperTable, ...]:
    """Every display that the cells fill."""
    known = Cells(plan, cells)
    found = (make(known) for make in MAKERS)
    return tuple(display for display in found if display is not None and display.ours)
