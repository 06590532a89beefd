"""The plots of an evaluation.

Here: `score_plot`, and `paper_plots`, the paper's figures with our numbers.
Not here: how a plot is drawn (`reports.plots.charts`), which numbers a figure has
(`reports.paper.figures`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blendin_local.jobs.evaluation.score.cells import Cell
from blendin_local.jobs.evaluation.score.report import Report
from blendin_local.reports.paper.cell_grid import PaperTable
from blendin_local.reports.plots.charts import Bin, Dot, Estimate, bars, heatmap, reliability, scatter
from blendin_local.views.evaluation.tables import benchmark_pairs, cells_of, section_title, title_of

MAX_SERIES = 6


def score_plot(report: Report) -> str:
    """Every method's main figure on every benchmark, with intervals; also a file of its own."""
    sections = list(benchmark_pairs(report))
    many = len(report.plan.pairs) > 1
    names = [section_title(report, b, p) if many else title_of(report, b) for b, p in sections]
    series: dict[str, list[Estimate | None]] = {variant: [] for variant in _shown(report)}
    for benchmark, pair in sections:
        found = {cell.variant: cell for cell in cells_of(report, benchmark, pair)}
        for variant, row in series.items():
            row.append(_estimate(found.get(variant)))
    return bars(_title(report), names, series, top=1.0, label="main figure with its 95 % interval")


def _shown(report: Report) -> list[str]:
    """The methods; those with settings of their own too where that makes few enough."""
    variants = report.plan.methods
    plain = [name for name, variant in variants.items() if not variant["settings"]]
    return list(variants) if len(variants) <= MAX_SERIES or not plain else plain


def _title(report: Report) -> str:
    return report.title.replace("Evaluation", "Scores", 1)


def _estimate(cell: Cell | None) -> Estimate | None:
    if cell is None or cell.score is None:
        return None
    return Estimate(cell.score.value, cell.score.low, cell.score.high)


def paper_plots(table: PaperTable) -> list[str]:
    """The plots of one of the paper's figures; none for a table."""
    if table.name == "Figure 2":
        return [_heatmap(table)]
    if table.name in {"Figure 3", "Figure 4"}:
        label = str(table.points["label"])
        series: Mapping[str, Sequence[Mapping[str, Any]]] = table.points["series"]
        return [_scatter(table, name, label, found) for name, found in series.items() if len(found) > 1]
    if table.name == "Calibration":
        bins = {name: [Bin(*found) for found in curve] for name, curve in table.points["curves"].items()}
        return [reliability(f"{table.name}: {table.title}", bins)]
    return []


def _heatmap(table: PaperTable) -> str:
    points = table.points
    title = f"{table.name}: {table.title}"
    return heatmap(title, points["rows"], points["columns"], points["values"], around_zero=True)


def _scatter(table: PaperTable, name: str, label: str, found: Sequence[Mapping[str, Any]]) -> str:
    dots = [Dot(point["x"], point["y"], point["pair"]) for point in found]
    labels = (label, "score")
    return scatter(
        f"{table.name}: {name}", {"pairs": dots}, labels=labels, percent=(True, False), trend=_trend(dots)
    )


def _trend(dots: Sequence[Dot]) -> tuple[float, float] | None:
    """The least-squares line; None if it has no meaning."""
    n = len(dots)
    mean_x, mean_y = sum(d.x for d in dots) / n, sum(d.y for d in dots) / n
    spread = sum((d.x - mean_x) ** 2 for d in dots)
    if n < 3 or not spread:
        return None
    slope = sum((d.x - mean_x) * (d.y - mean_y) for d in dots) / spread
    return slope, mean_y - slope * mean_x
