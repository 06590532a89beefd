"""The report of an evaluation as one self-contained page.

Here: `report_html`.
Not here: the skeleton (`reports.page`), plots (`reports.plots.charts`), what the words are
(`views.evaluation.tables`).
"""

from __future__ import annotations

from blendin_local.jobs.evaluation.score.report import Report
from blendin_local.reports.evaluation.plots import paper_plots, score_plot
from blendin_local.reports.page import Section, details, page, paragraph, table
from blendin_local.reports.paper.paper_tables import paper_tables, report_table
from blendin_local.reports.paper.published import paper_numbers
from blendin_local.views.evaluation.evidence import evidence_tables
from blendin_local.views.evaluation.signature import signature_table
from blendin_local.views.evaluation.tables import (
    ReportTable,
    benchmark_pairs,
    ends_table,
    faults_table,
    figures_table,
    judge_table,
    letters_table,
    likelihood_table,
    score_table,
    section_title,
    summary_table,
)


def report_html(report: Report) -> str:
    """The whole report."""
    sections = [_scores(report), *(Section("", "", _blocks(found)) for found in evidence_tables(report))]
    sections += [_benchmark(report, benchmark, pair) for benchmark, pair in benchmark_pairs(report)]
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
    return Section("Scores", lead, [*cut, score_plot(report), _table(summary_table(report))])


def _benchmark(report: Report, benchmark: str, pair: str) -> Section:
    """Scores and log-likelihoods, and how the answers look in a fold."""
    shown = [
        make(report, benchmark, pair) for make in (score_table, figures_table, judge_table, likelihood_table)
    ]
    folded = [make(report, benchmark, pair) for make in (ends_table, faults_table, letters_table)]
    blocks = [block for found in shown if found for block in _blocks(found)]
    inside = [block for found in folded if found for block in _blocks(found)]
    about = str(report.plan.benchmarks[benchmark]["about"])
    return Section(
        section_title(report, benchmark, pair),
        about,
        [*blocks, details("Length, end and faults of answers", inside)],
    )


def _beside_the_paper(report: Report) -> list[Section]:
    """The paper's tables and figures, its own rows marked."""
    shown = paper_tables(report.plan, report.cells)
    if not shown:
        return []
    paper = paper_numbers()
    lead = f"Rows marked paper are the authors' own ({paper['source']}), not measured here."
    differences = details("What differs from the paper", [paragraph(words) for words in paper["differences"]])
    first = Section("Beside the paper", lead, [differences])
    return [
        first,
        *(Section("", "", [*paper_plots(d), *_blocks(report_table(d))]) for d in shown),
    ]


def _signature(report: Report) -> Section:
    return Section("What these numbers depend on", "", _blocks(signature_table(report)))


def _table(found: ReportTable) -> str:
    return table(found.head, found.rows, caption=found.title)


def _blocks(found: ReportTable) -> list[str]:
    return [_table(found), *(paragraph(note, "summary") for note in found.notes)]
