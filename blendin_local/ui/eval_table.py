"""The report of an evaluation in a terminal, readable at 80 columns.

Here: `report_tables`.
Not here: what the words are (`ui.eval_grids`); the whole report is in the HTML and Markdown files.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from blendin_local.jobs.evaluation.report import Report
from blendin_local.ui.eval_grids import (
    Grid,
    faults_grid,
    figures_grid,
    places,
    readings_grid,
    score_grid,
    summary_grid,
)


def report_tables(report: Report) -> Iterator[RenderableType]:
    """Title, a summary, then for each benchmark its scores, figures, readings and faults."""
    yield Text(report.title, style="heading" if report.complete else "warning")
    yield ""
    yield _table(summary_grid(report))
    for benchmark, pair in places(report):
        yield ""
        yield _table(score_grid(report, benchmark, pair, wide=False))
        more = [figures_grid(report, benchmark, pair, wide=False), readings_grid(report, benchmark, pair)]
        yield from (_table(grid) for grid in more if grid is not None)
        faults = faults_grid(report, benchmark, pair)
        if any(word != "0" for row in faults.rows for word in row[1:]):
            yield _table(faults)
    yield Text(
        "* the test tells the two apart at 5 %; asked and changed: shares of all tokens", style="footer"
    )


def _table(grid: Grid) -> RenderableType:
    table = Table(
        title=grid.title,
        title_justify="left",
        title_style="heading",
        caption="\n".join(grid.notes) or None,
        caption_justify="left",
        caption_style="footer",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        header_style="faint",
    )
    for number, name in enumerate(grid.head):
        table.add_column(name, justify="left" if number == 0 else "right", overflow="fold")
    for row in grid.rows:
        table.add_row(*row)
    return table
