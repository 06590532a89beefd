"""The report of an evaluation as Markdown, for a README or a note.

Here: `report_markdown`.
Not here: what the words are (`views.evaluation.tables`).
"""

from __future__ import annotations

from collections.abc import Iterator

from blendin_local.jobs.evaluation.score.report import Report
from blendin_local.reports.paper.paper_tables import paper_tables, report_table
from blendin_local.reports.paper.published import paper_numbers
from blendin_local.views.evaluation.evidence import evidence_tables
from blendin_local.views.evaluation.signature import signature_table
from blendin_local.views.evaluation.tables import (
    ReportTable,
    benchmark_pairs,
    benchmark_tables,
    summary_table,
)


def report_markdown(report: Report) -> str:
    """The whole report."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {_plain(report.title)}"
    yield ""
    yield from _table_lines(summary_table(report), level=2)
    for table in evidence_tables(report):
        yield from _table_lines(table, level=2)
    for benchmark, pair in benchmark_pairs(report):
        scores, *more = benchmark_tables(report, benchmark, pair)
        yield from _table_lines(scores, level=2)
        for table in more:
            yield from _table_lines(table, level=3)
    shown = paper_tables(report.plan, report.cells)
    if shown:
        yield "## Beside the paper"
        yield ""
        yield f"Rows marked `paper:` are theirs ({paper_numbers()['source']}). What differs:"
        yield ""
        yield from (f"- {difference}" for difference in paper_numbers()["differences"])
        yield ""
    for paper_table in shown:
        yield from _table_lines(report_table(paper_table), level=3)
    yield from _table_lines(signature_table(report), level=2)


def _table_lines(table: ReportTable, level: int) -> Iterator[str]:
    yield f"{'#' * level} {_plain(table.title)}"
    yield ""
    yield _row(table.head)
    yield _row(["---", *["---:"] * (len(table.head) - 1)])
    for row in table.rows:
        yield _row(row)
    yield ""
    for note in table.notes:
        yield f"- {_plain(note)}"
    if table.notes:
        yield ""


def _row(words: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(map(_plain, words)) + " |"


def _plain(words: str) -> str:
    """Text that is no markup."""
    return words.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("*", "\\*")
