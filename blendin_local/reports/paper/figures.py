"""The paper's figures 2, 3 and 4 with our cells, and the calibration of the pairs' models.

Here: a function for each figure; None if our runs do not fill it.
Not here: tables (`tables`), how a figure is drawn (`reports.evaluation.plots`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blendin_local.jobs.evaluation.score.exact import pearson
from blendin_local.jobs.evaluation.spec.plan import CHECK
from blendin_local.jobs.evaluation.spec.variants import SWEPT
from blendin_local.reports.paper.cell_grid import MISSING, CellGrid, PaperTable, signed
from blendin_local.reports.paper.published import paper_numbers


def figure_2(grid: CellGrid) -> PaperTable | None:
    """How much better or worse guidance makes the base."""
    if not {"base", "nudging"} <= set(grid.variants):
        return None
    guided = [name for name in ("nudging", SWEPT) if name in grid.variants]
    benchmarks = list(grid.plan.benchmarks)
    labels, values = [], []
    for pair in grid.plan.pairs:
        for name in guided:
            labels.append(f"{pair} {name}")
            values.append([_above_base(grid, pair, b, name) for b in benchmarks])
    theirs = paper_numbers()["figure2"]
    their_values = [
        [dict(zip(theirs["columns"][1:], row[1:], strict=True)).get(b) for b in benchmarks]
        for row in theirs["rows"]
    ]
    return PaperTable(
        "Figure 2",
        "Score above the unguided base",
        ("pair and method", *(grid.title(b) for b in benchmarks)),
        tuple((label, *map(signed, row)) for label, row in zip(labels, values, strict=True)),
        tuple((row[0], *map(signed, v)) for row, v in zip(theirs["rows"], their_values, strict=True)),
        ("the paper's JustEval-Safe is on a scale from 1 to 5; all its rows are nudging",),
        {"rows": labels, "columns": [grid.title(b) for b in benchmarks], "values": values},
    )


def _above_base(grid: CellGrid, pair: str, benchmark: str, variant: str) -> float | None:
    guided, base = grid.value(pair, benchmark, variant), grid.value(pair, benchmark, "base")
    return None if guided is None or base is None else guided - base


def figure_3(grid: CellGrid) -> PaperTable | None:
    """Intervention rate against score, over pairs."""
    points = {b: _points(grid, b) for b in grid.plan.benchmarks}
    points = {b: found for b, found in points.items() if found}
    rows = [(grid.title(b), str(len(found)), *_correlation(found)) for b, found in points.items()]
    return PaperTable(
        "Figure 3",
        "Intervention rate against score, over pairs (nudging)",
        ("benchmark", "pairs", "Pearson r", "p"),
        tuple(rows),
        (),
        (
            "the paper finds r < 0 with p < 0.05 on GSM8K, TruthfulQA and XSTest",
            "r needs three pairs that differ; the paper has fifteen",
        ),
        {"label": "intervention rate", "series": {grid.title(b): found for b, found in points.items()}},
    )


def _points(grid: CellGrid, benchmark: str) -> list[dict[str, Any]]:
    found = []
    for pair in grid.plan.pairs:
        rate, score = grid.rate(pair, benchmark, "nudging"), grid.value(pair, benchmark, "nudging")
        if rate is not None and score is not None:
            found.append({"pair": pair, "x": rate / 100, "y": score})
    return found


def figure_4(grid: CellGrid) -> PaperTable | None:
    """Overlap of the vocabularies' choices against score, over pairs that were checked."""
    overlaps = {pair: facts.get(CHECK, {}).get("top_50") for pair, facts in grid.plan.pairs.items()}
    points = {
        b: [
            {"pair": pair, "x": overlap, "y": score}
            for pair, overlap in overlaps.items()
            if overlap is not None and (score := grid.value(pair, b, "nudging")) is not None
        ]
        for b in grid.plan.benchmarks
    }
    theirs = {row[0]: row[1:3] for row in paper_numbers()["table4"]["rows"]}
    return PaperTable(
        "Figure 4",
        "Guide's choice among the base's 50 likeliest, against score, over pairs (nudging)",
        ("benchmark", "pairs", "Pearson r", "p"),
        tuple((grid.title(b), str(len(found)), *_correlation(found)) for b, found in points.items() if found),
        tuple(
            (grid.title(b), "9", f"{theirs[b][0]:+.2f}", f"{theirs[b][1]:.3f}") for b in points if b in theirs
        ),
        ("the overlaps are those of the pairs' checks, over the check's own prompts",),
        {"label": "overlap", "series": {grid.title(b): found for b, found in points.items() if found}},
    )


def calibration(grid: CellGrid) -> PaperTable | None:
    """How far each model's confidence is from the truth, where the pair was checked."""
    rows, curves = [], {}
    for pair, facts in grid.plan.pairs.items():
        for role, found in (facts.get(CHECK) or {}).get("calibration", {}).items():
            numbers = (found["error"], found["temperature"], found["bits_per_byte"])
            rows.append((f"{pair} {role}", *(f"{number:.3f}" for number in numbers)))
            curves[f"{pair} {role}"] = found["bins"]
    return PaperTable(
        "Calibration",
        "Confidence against truth, on the reference text of blendin check",
        ("model", "calibration error", "temperature", "bits per byte"),
        tuple(rows),
        (),
        ("a temperature above 1: the model is too sure of itself",),
        {"curves": curves},
    )


def _correlation(points: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Pearson's r and its p as they are written in a table."""
    line = pearson([point["x"] for point in points], [point["y"] for point in points])
    return (f"{line.r:+.2f}", f"{line.p:.3f}") if line else (MISSING, MISSING)
