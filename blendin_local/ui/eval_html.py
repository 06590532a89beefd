"""The report of an evaluation as one self-contained page.

Here: `report_html`.
Not here: the skeleton (`ui.page`), plots (`ui.plots`), what the words are (`ui.eval_grids`).
"""

from __future__ import annotations

from blendin_local.jobs.evaluation.report import Report
from blendin_local.ui.eval_grids import (
    Grid,
    benchmark_grids,
    display_grid,
    place_title,
    places,
    signature_grid,
    summary_grid,
)
from blendin_local.ui.page import Section, page, paragraph, table


def report_html(report: Report) -> str:
    """The whole report."""
    sections = [Section("Scores", "", [_table(summary_grid(report))])]
    for benchmark, pair in places(report):
        grids = benchmark_grids(report, benchmark, pair)
        sections.append(Section(place_title(report, benchmark, pair), "", [b for g in grids for b in _blocks(g)]))
    for display in report.displays:
        sections.append(Section("", "", _blocks(display_grid(display))))
    sections.append(Section("", "", _blocks(signature_grid(report))))
    return page(report.title, sections)


def _table(grid: Grid) -> str:
    return table(grid.head, grid.rows, caption=grid.title)


def _blocks(grid: Grid) -> list[str]:
    return [_table(grid), *(paragraph(note, "summary") for note in grid.notes)]
