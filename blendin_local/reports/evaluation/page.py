"""The report of an evaluation as one self-contained page.

Here: `report_html`.
Not here: the skeleton (`reports.page`), plots (`reports.plots.charts`), what the words are
(`views.evaluation.tables`).
"""

from __future__ import annotations

from blendin_local.jobs.evaluation.score.report import Report
from blendin_local.reports.evaluation.plots import display_plots, score_plot
from blendin_local.reports.page import Section, details, page, paragraph, table
from blendin_local.reports.paper.paper_tables import display_grid, displays
from blendin_local.reports.paper.published import paper_numbers
from blendin_local.views.evaluation.signature import signature_grid
from blendin_local.views.evaluation.tables import (
    ReportTable,
    ends_grid,
    faults_grid,
    figures_grid,
    judge_grid,
    letters_grid,
    place_title,
    places,
    readings_grid,
    score_grid,
    summary_grid,
)


def report_html(report: Report) -> str:
    """The whole report."""
    sections = [_scores(report)]
    sections += [_benchmark(report, benchmark, pair) for benchmark, pair in places(report)]
    return page(
        report.title, [*sections, *_beside_the_paper(report), _signature(report)], subtitle=_subtitle(report)
    )


def _subtitle(report: Report) -> str:
    """`demo: base FILE, guide FILE`."""
    return " · ".join(
        f"{pair}: " + ", ".join(f"{role} {model['file']}" for role, model in facts["models"].items())
        for pair, facts in report.plan.pairs.items()
    )


def _scores(report: Report) -> Section:
    lead = "Each benchmark's main figure, from 0 to 1, larger is better."
    cut = [] if report.complete else [paragraph(f"This run was cut short. {report.title}.", "warning")]
    return Section("Scores", lead, [*cut, score_plot(report), _table(summary_grid(report))])


def _benchmark(report: Report, benchmark: str, pair: str) -> Section:
    """Scores and readings at once; how the answers look on demand."""
    shown = [make(report, benchmark, pair) for make in (score_grid, figures_grid, judge_grid, readings_grid)]
    folded = [make(report, benchmark, pair) for make in (ends_grid, faults_grid, letters_grid)]
    blocks = [block for grid in shown if grid for block in _blocks(grid)]
    inside = [block for grid in folded if grid for block in _blocks(grid)]
    about = str(report.plan.benchmarks[benchmark]["about"])
    return Section(
        place_title(report, benchmark, pair),
        about,
        [*blocks, details("Length, end and faults of answers", inside)],
    )


def _beside_the_paper(report: Report) -> list[Section]:
    """The paper's tables and figures, its own rows marked."""
    shown = displays(report.plan, report.cells)
    if not shown:
        return []
    paper = paper_numbers()
    lead = f"Rows marked paper are the authors' own ({paper['source']}), not measured here."
    differences = details("What differs from the paper", [paragraph(words) for words in paper["differences"]])
    first = Section("Beside the paper", lead, [differences])
    return [
        first,
        *(Section("", "", [*display_plots(d), *_blocks(display_grid(d))]) for d in shown),
    ]


def _signature(report: Report) -> Section:
    return Section("What these numbers hang on", "", _blocks(signature_grid(report)))


def _table(grid: ReportTable) -> str:
    return table(grid.head, grid.rows, caption=grid.title)


def _blocks(grid: ReportTable) -> list[str]:
    return [_table(grid), *(paragraph(note, "summary") for note in grid.notes)]
