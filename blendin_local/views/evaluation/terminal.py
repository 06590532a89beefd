"""The report of an evaluation in a terminal, readable at 80 columns.

Here: `report_tables`.
Not here: what the words are (`views.evaluation.tables`); the whole report is in the HTML and Markdown files.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from blendin_local.jobs.evaluation.score.report import Report
from blendin_local.views.evaluation.evidence import evidence_tables
from blendin_local.views.evaluation.tables import (
    ReportTable,
    benchmark_pairs,
    faults_table,
    figures_table,
    likelihood_table,
    score_table,
    summary_table,
)

MAX_COLUMNS = 4
WIDTH, GAP, MIN_NAME_WIDTH = 80, 2, 7


def report_tables(report: Report) -> Iterator[RenderableType]:
    """Title, a summary, all methods of each pair together, then each benchmark.

    Of a benchmark: its scores, figures, log-likelihoods and faults.
    """
    yield Text(report.title, style="heading" if report.complete else "warning")
    yield ""
    yield from map(_drawn, _in_parts(summary_table(report)))
    for table in evidence_tables(report, wide=False):
        yield ""
        yield from map(_drawn, _in_parts(table)) if table.rows else _in_words(table)
    for benchmark, pair in benchmark_pairs(report):
        yield ""
        yield _drawn(score_table(report, benchmark, pair, wide=False))
        more = [figures_table(report, benchmark, pair, wide=False), likelihood_table(report, benchmark, pair)]
        yield from (_drawn(table) for table in more if table is not None)
        faults = faults_table(report, benchmark, pair)
        if any(word != "0" for row in faults.rows for word in row[1:]):
            yield _drawn(faults)
    yield Text(
        "* of a benchmark: significant at 5 %, uncorrected; asked, changed: of all tokens", style="footer"
    )


def _in_parts(table: ReportTable) -> Iterator[ReportTable]:
    """A table too wide for 80 columns as several, each with the names of its rows."""
    for first in range(1, len(table.head), MAX_COLUMNS):
        kept = slice(first, first + MAX_COLUMNS)
        rows = tuple((row[0], *row[kept]) for row in table.rows)
        yield ReportTable(
            table.title if first == 1 else "", (table.head[0], *table.head[kept]), rows, table.notes
        )


def _in_words(table: ReportTable) -> Iterator[RenderableType]:
    """A table of which no row is shown."""
    yield Text(table.title, style="heading")
    yield from (Text(note, style="footer") for note in table.notes)


def _drawn(table: ReportTable) -> RenderableType:
    drawn = Table(
        title=table.title or None,
        title_justify="left",
        title_style="heading",
        caption="\n".join(table.notes) or None,
        caption_justify="left",
        caption_style="footer",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="faint",
    )
    min_widths = [_min_width(table, i) for i in range(1, len(table.head))]
    left = WIDTH - sum(min_widths) - GAP * len(min_widths) - 2
    fits = left >= MIN_NAME_WIDTH  # if so, names are folded and numbers are not
    drawn.add_column(table.head[0], overflow="fold", max_width=left if fits else None)
    for name, width in zip(table.head[1:], min_widths, strict=True):
        drawn.add_column(
            _breakable(name), justify="right", overflow="fold", min_width=width if fits else None
        )
    longest = max((len(row[0]) for row in table.rows), default=0)
    for row in table.rows:
        drawn.add_row(row[0] if longest <= left else _breakable(row[0]), *row[1:])
    return drawn


def _breakable(name: str) -> str:
    """A method's name on several lines: `base`, `[temp=0.7,`, `min-p=0.1]`."""
    return name.replace("[", "\n[").replace(",", ",\n") if "[" in name and "=" in name else name


def _min_width(table: ReportTable, column: int) -> int:
    """The width at which no cell of a column is folded, and no word of its name."""
    words = [row[column] for row in table.rows] + _breakable(table.head[column]).split()
    return max(map(len, words))
