"""The paper's tables 1, 2, 3, 5 and 6 with our cells, its own rows apart.

Here: a function for each table; None if our runs do not fill it.
Not here: figures (`figures`), the paper's numbers (`published`).
"""

from __future__ import annotations

from typing import Any

from blendin_local.core.percent import percent
from blendin_local.jobs.evaluation.score.cells import Cell
from blendin_local.jobs.evaluation.spec.variants import ALIGNED, FIELDS, SWEPT, setting_name
from blendin_local.reports.paper.cell_grid import MISSING, CellGrid, PaperTable, Row, two_digits
from blendin_local.reports.paper.published import paper_numbers

FILTERED = "agreement+competition"
CAPPED = "capped"


def table_1(grid: CellGrid) -> PaperTable | None:
    """Every method side by side, with nudging's intervention rate."""
    if "base" not in grid.variants or len(grid.variants) < 2:
        return None
    names = ("base", "guide", ALIGNED, "nudging", SWEPT)
    ours = [
        (
            grid.title(b),
            p,
            *(grid.score(p, b, name) for name in names),
            _gain(grid, p, b),
            _rate(grid, p, b),
        )
        for p, b in grid.pairs_by_benchmark()
    ]
    theirs = [
        (grid.title(b), pair, *map(two_digits, scores), _percent(scores[3], scores[4]), f"{rate:.1f}")
        for pair, b, *scores, rate in _their(grid, "table1")
    ]
    return PaperTable(
        "Table 1",
        "All methods",
        ("benchmark", "pair", "base", "guide", "aligned", "nudging", "blendin", "gain", "int. %"),
        tuple(ours),
        tuple(theirs),
        ("gain: blendin over nudging, in percent of nudging's score; int. %: nudging's intervention rate",),
    )


def _gain(grid: CellGrid, pair: str, benchmark: str) -> str:
    return _percent(grid.value(pair, benchmark, "nudging"), grid.value(pair, benchmark, SWEPT))


def _percent(before: float | None, after: float | None) -> str:
    return MISSING if not before or after is None else percent(after / before - 1, 0, signed=True)


def _rate(grid: CellGrid, pair: str, benchmark: str) -> str:
    rate = grid.rate(pair, benchmark, "nudging")
    return MISSING if rate is None else f"{rate:.1f}"


def _their(grid: CellGrid, table: str) -> list[list[Any]]:
    """Rows of the paper on benchmarks that are ours too."""
    rows: list[list[Any]] = paper_numbers()[table]["rows"]
    return [row for row in rows if row[1] in grid.plan.benchmarks]


def table_2(grid: CellGrid) -> PaperTable | None:
    """Nudging and blendin with intervals."""
    if not {"nudging", SWEPT} <= set(grid.variants):
        return None
    ours = [
        (
            grid.title(b),
            p,
            _items(grid, b),
            _rate(grid, p, b),
            _with_interval(grid.get(p, b, "nudging")),
            _with_interval(grid.get(p, b, SWEPT)),
        )
        for p, b in grid.pairs_by_benchmark()
    ]
    theirs = [
        (
            grid.title(b),
            pair,
            "all",
            f"{rate:.1f}",
            f"{two_digits(nudging)} ±{half:.3f}",
            f"{two_digits(ours_)} ±{half:.3f}",
        )
        for pair, b, rate, nudging, ours_, half in _their(grid, "table2")
    ]
    return PaperTable(
        "Table 2",
        "Nudging and blendin with 95 % intervals",
        ("benchmark", "pair", "items", "int. %", "nudging", "blendin"),
        tuple(ours),
        tuple(theirs),
        ("the paper's rows are on full test sets",),
    )


def _items(grid: CellGrid, benchmark: str) -> str:
    return str(grid.plan.benchmarks[benchmark]["items"])


def _with_interval(cell: Cell | None) -> str:
    if cell is None or cell.score is None:
        return MISSING
    return f"{cell.score.value:.2f} [{cell.score.low:.2f}, {cell.score.high:.2f}]"


def table_3(grid: CellGrid) -> PaperTable | None:
    """Capping the intervention rate."""
    capped = [name for name in grid.variants if grid.plan.variants[name]["method"] == CAPPED]
    if not capped:
        return None
    ours = [
        (
            grid.title(b),
            p,
            _rate(grid, p, b),
            grid.score(p, b, "nudging"),
            *(grid.score(p, b, name) for name in capped),
            grid.score(p, b, SWEPT),
        )
        for p, b in grid.pairs_by_benchmark()
    ]
    rest = (MISSING,) * (len(capped) - 1)
    theirs = [
        (grid.title(b), pair, f"{rate}", two_digits(nudging), two_digits(at_15), *rest, two_digits(blendin))
        for pair, b, nudging, at_15, blendin, rate in _their(grid, "table3")
    ]
    head = ("benchmark", "pair", "int. %", "nudging", *capped, "blendin")
    notes = ("the paper caps at 15 %",)
    return PaperTable("Table 3", "Capping the intervention rate", head, tuple(ours), tuple(theirs), notes)


def table_5(grid: CellGrid) -> PaperTable | None:
    """One setting of blendin varied, the others the pair's own."""
    ours = [row for setting in FIELDS for row in _sweep(grid, setting)]
    theirs = [
        (setting, value, "Q→L", *(two_digits(by_name.get(b)) for b in grid.plan.benchmarks))
        for setting, rows in paper_numbers()["table5"]["rows"].items()
        for value, *scores in rows
        for by_name in [dict(zip(paper_numbers()["table5"]["columns"][1:], scores, strict=True))]
        if any(row[0] == setting for row in ours)
    ]
    head = ("setting", "value", "pair", *(grid.title(b) for b in grid.plan.benchmarks))
    return PaperTable("Table 5", "Settings of blendin varied", head, tuple(ours), tuple(theirs))


def _sweep(grid: CellGrid, setting: str) -> list[Row]:
    """The rows of one setting, the pair's own value among them; none where it was not varied."""
    values: dict[str, str] = {}
    for name, variant in grid.plan.variants.items():
        if variant["method"] == SWEPT and set(variant["settings"]) == {setting}:
            values[setting_name(variant["settings"][setting])] = name
    if not values:
        return []
    rows = []
    for pair, facts in grid.plan.pairs.items():
        default = {setting_name(facts["blend"][FIELDS[setting]]): SWEPT}
        for value, name in sorted({**values, **default}.items(), key=_by_number):
            scores = (grid.score(pair, b, name) for b in grid.plan.benchmarks)
            rows.append((setting, value, pair, *scores))
    return rows


def _by_number(item: tuple[str, str]) -> tuple[bool, float]:
    """Numbers by size, words after them."""
    try:
        return False, float(item[0])
    except ValueError:
        return True, 0.0


def table_6(grid: CellGrid) -> PaperTable | None:
    """Discrete filters against blending."""
    if FILTERED not in grid.variants:
        return None
    names = ("nudging", FILTERED, SWEPT)
    ours = [
        (grid.title(b), p, *(grid.score(p, b, name) for name in names)) for p, b in grid.pairs_by_benchmark()
    ]
    theirs = [(grid.title(b), pair, *map(two_digits, scores)) for pair, b, *scores in _their(grid, "table6")]
    head = ("benchmark", "pair", "nudging", "filters", "blendin")
    return PaperTable("Table 6", "Discrete filters against blending", head, tuple(ours), tuple(theirs))
