"""The paper's tables and figures, filled with our own cells as far as they go.

Here: `Display` and one function for each display; a display that our runs do not fill is left out.
Not here: the numbers of a cell (`cells`), the paper's numbers (`paper`), how a display is drawn (`ui`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blendin_local.jobs.evaluation.cells import Cell
from blendin_local.jobs.evaluation.paper import paper_numbers
from blendin_local.jobs.evaluation.plan import EvalPlan
from blendin_local.jobs.evaluation.statistics import pearson
from blendin_local.jobs.evaluation.variants import ALIGNED, FIELDS, SWEPT, setting_name

Row = tuple[str, ...]
FILTERED = "agreement+competition"
CAPPED = "capped"
MISSING = "–"


@dataclass(frozen=True)
class Display:
    """One of the paper's tables or figures.

    Attributes:
        name: Its name in the paper, such as `Table 1`.
        title: What it shows.
        head: Names of the columns.
        ours: Rows of this evaluation.
        theirs: Rows of the paper, where it has such a table.
        notes: What has to be known to read it.
        points: What is drawn, for figures.
    """

    name: str
    title: str
    head: Row
    ours: tuple[Row, ...]
    theirs: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    points: Mapping[str, Any] = field(default_factory=dict)


class Cells:
    """Cells by pair, benchmark and variant."""

    def __init__(self, plan: EvalPlan, cells: Sequence[Cell]) -> None:
        self.plan = plan
        self._by_name = {(cell.pair, cell.benchmark, cell.variant): cell for cell in cells}
        self.variants = list(dict.fromkeys(cell.variant for cell in cells))

    def get(self, pair: str, benchmark: str, variant: str) -> Cell | None:
        """A cell with a score, or None."""
        cell = self._by_name.get((pair, benchmark, variant))
        return cell if cell is not None and cell.score is not None else None

    def places(self) -> Iterator[tuple[str, str]]:
        """Benchmarks and pairs, a benchmark's pairs together."""
        for benchmark in self.plan.benchmarks:
            for pair in self.plan.pairs:
                yield pair, benchmark

    def title(self, benchmark: str) -> str:
        """The benchmark's name in tables."""
        known = self.plan.benchmarks.get(benchmark, {})
        return str(known.get("title", benchmark))

    def score(self, pair: str, benchmark: str, variant: str) -> str:
        """The score as it stands in a table."""
        cell = self.get(pair, benchmark, variant)
        return MISSING if cell is None or cell.score is None else f"{cell.score.value:.2f}"

    def value(self, pair: str, benchmark: str, variant: str) -> float | None:
        """The score itself."""
        cell = self.get(pair, benchmark, variant)
        return None if cell is None or cell.score is None else cell.score.value

    def rate(self, pair: str, benchmark: str, variant: str) -> float | None:
        """The intervention rate, in percent."""
        cell = self.get(pair, benchmark, variant)
        return None if cell is None or cell.intervention_rate is None else 100 * cell.intervention_rate


def displays(plan: EvalPlan, cells: Sequence[Cell]) -> tuple[Display, ...]:
    """Every display that the cells fill."""
    known = Cells(plan, cells)
    found = (make(known) for make in MAKERS)
    return tuple(display for display in found if display is not None and display.ours)


def table_1(cells: Cells) -> Display | None:
    """Every method side by side, with nudging's intervention rate."""
    if "base" not in cells.variants or len(cells.variants) < 2:
        return None
    names = ("base", "guide", ALIGNED, "nudging", SWEPT)
    ours = [
        (
            cells.title(b),
            p,
            *(cells.score(p, b, name) for name in names),
            _gain(cells, p, b),
            _rate(cells, p, b),
        )
        for p, b in cells.places()
    ]
    theirs = [
        (cells.title(b), pair, *map(_two, scores), _percent(scores[3], scores[4]), f"{rate:.1f}")
        for pair, b, *scores, rate in _their(cells, "table1")
    ]
    return Display(
        "Table 1",
        "All methods",
        ("benchmark", "pair", "base", "guide", "aligned", "nudging", "blendin", "gain", "int. %"),
        tuple(ours),
        tuple(theirs),
        ("gain: blendin over nudging, in percent of nudging's score; int. %: nudging's intervention rate",),
    )


def _gain(cells: Cells, pair: str, benchmark: str) -> str:
    return _percent(cells.value(pair, benchmark, "nudging"), cells.value(pair, benchmark, SWEPT))


def _percent(before: float | None, after: float | None) -> str:
    return MISSING if not before or after is None else f"{100 * (after / before - 1):+.0f}%"


def _rate(cells: Cells, pair: str, benchmark: str) -> str:
    rate = cells.rate(pair, benchmark, "nudging")
    return MISSING if rate is None else f"{rate:.1f}"


def _two(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


def _their(cells: Cells, table: str) -> list[list[Any]]:
    """Rows of the paper on benchmarks that are ours too."""
    rows: list[list[Any]] = paper_numbers()[table]["rows"]
    return [row for row in rows if row[1] in cells.plan.benchmarks]


def table_2(cells: Cells) -> Display | None:
    """Nudging and blendin with intervals."""
    if not {"nudging", SWEPT} <= set(cells.variants):
        return None
    ours = [
        (
            cells.title(b),
            p,
            _items(cells, b),
            _rate(cells, p, b),
            _with_interval(cells.get(p, b, "nudging")),
            _with_interval(cells.get(p, b, SWEPT)),
        )
        for p, b in cells.places()
    ]
    theirs = [
        (
            cells.title(b),
            pair,
            "all",
            f"{rate:.1f}",
            f"{_two(nudging)} ±{half:.3f}",
            f"{_two(ours_)} ±{half:.3f}",
        )
        for pair, b, rate, nudging, ours_, half in _their(cells, "table2")
    ]
    return Display(
        "Table 2",
        "Nudging and blendin with 95 % intervals",
        ("benchmark", "pair", "items", "int. %", "nudging", "blendin"),
        tuple(ours),
        tuple(theirs),
        ("the paper's rows are on full test sets",),
    )


def _items(cells: Cells, benchmark: str) -> str:
    return str(cells.plan.benchmarks[benchmark]["items"])


def _with_interval(cell: Cell | None) -> str:
    if cell is None or cell.score is None:
        return MISSING
    return f"{cell.score.value:.2f} [{cell.score.low:.2f}, {cell.score.high:.2f}]"


def table_3(cells: Cells) -> Display | None:
    """Capping the intervention rate."""
    capped = [name for name in cells.variants if cells.plan.variants[name]["method"] == CAPPED]
    if not capped:
        return None
    ours = [
        (
            cells.title(b),
            p,
            _rate(cells, p, b),
            cells.score(p, b, "nudging"),
            *(cells.score(p, b, name) for name in capped),
            cells.score(p, b, SWEPT),
        )
        for p, b in cells.places()
    ]
    rest = (MISSING,) * (len(capped) - 1)
    theirs = [
        (cells.title(b), pair, f"{rate}", _two(nudging), _two(at_15), *rest, _two(blendin))
        for pair, b, nudging, at_15, blendin, rate in _their(cells, "table3")
    ]
    head = ("benchmark", "pair", "int. %", "nudging", *capped, "blendin")
    notes = ("the paper caps at 15 %",)
    return Display("Table 3", "Capping the intervention rate", head, tuple(ours), tuple(theirs), notes)


def table_5(cells: Cells) -> Display | None:
    """One setting of blendin varied, the others the pair's own."""
    ours = [row for setting in FIELDS for row in _sweep(cells, setting)]
    theirs = [
        (setting, value, "Q→L", *(_two(by_name.get(b)) for b in cells.plan.benchmarks))
        for setting, rows in paper_numbers()["table5"]["rows"].items()
        for value, *scores in rows
        for by_name in [dict(zip(paper_numbers()["table5"]["columns"][1:], scores, strict=True))]
        if any(row[0] == setting for row in ours)
    ]
    head = ("setting", "value", "pair", *(cells.title(b) for b in cells.plan.benchmarks))
    return Display("Table 5", "Settings of blendin varied", head, tuple(ours), tuple(theirs))


def _sweep(cells: Cells, setting: str) -> list[Row]:
    """The rows of one setting, the pair's own value among them; none where it was not varied."""
    values: dict[str, str] = {}
    for name, variant in cells.plan.variants.items():
        if variant["method"] == SWEPT and set(variant["settings"]) == {setting}:
            values[setting_name(variant["settings"][setting])] = name
    if not values:
        return []
    rows = []
    for pair, facts in cells.plan.pairs.items():
        own = {setting_name(facts["blend"][FIELDS[setting]]): SWEPT}
        for value, name in sorted({**values, **own}.items(), key=_by_number):
            scores = (cells.score(pair, b, name) for b in cells.plan.benchmarks)
            rows.append((setting, value, pair, *scores))
    return rows


def _by_number(item: tuple[str, str]) -> tuple[bool, float]:
    """Numbers by size, words after them."""
    try:
        return False, float(item[0])
    except ValueError:
        return True, 0.0


def table_6(cells: Cells) -> Display | None:
    """Discrete filters against blending."""
    if FILTERED not in cells.variants:
        return None
    names = ("nudging", FILTERED, SWEPT)
    ours = [(cells.title(b), p, *(cells.score(p, b, name) for name in names)) for p, b in cells.places()]
    theirs = [(cells.title(b), pair, *map(_two, scores)) for pair, b, *scores in _their(cells, "table6")]
    head = ("benchmark", "pair", "nudging", "filters", "blendin")
    return Display("Table 6", "Discrete filters against blending", head, tuple(ours), tuple(theirs))


def figure_2(cells: Cells) -> Display | None:
    """How much better or worse guidance makes the base."""
    if not {"base", "nudging"} <= set(cells.variants):
        return None
    guided = [name for name in ("nudging", SWEPT) if name in cells.variants]
    benchmarks = list(cells.plan.benchmarks)
    labels, values = [], []
    for pair in cells.plan.pairs:
        for name in guided:
            labels.append(f"{pair} {name}")
            values.append([_above_base(cells, pair, b, name) for b in benchmarks])
    theirs = paper_numbers()["figure2"]
    their_values = [
        [dict(zip(theirs["columns"][1:], row[1:], strict=True)).get(b) for b in benchmarks]
        for row in theirs["rows"]
    ]
    return Display(
        "Figure 2",
        "Score above the unguided base",
        ("pair and method", *(cells.title(b) for b in benchmarks)),
        tuple((label, *map(_signed, row)) for label, row in zip(labels, values, strict=True)),
        tuple((row[0], *map(_signed, v)) for row, v in zip(theirs["rows"], their_values, strict=True)),
        ("the paper's JustEval-Safe is on a scale from 1 to 5; all its rows are nudging",),
        {"rows": labels, "columns": [cells.title(b) for b in benchmarks], "values": values},
    )


def _above_base(cells: Cells, pair: str, benchmark: str, variant: str) -> float | None:
    guided, base = cells.value(pair, benchmark, variant), cells.value(pair, benchmark, "base")
    return None if guided is None or base is None else guided - base


def _signed(value: float | None) -> str:
    return MISSING if value is None else f"{value:+.2f}"


def figure_3(cells: Cells) -> Display | None:
    """Intervention rate against score, over pairs."""
    points = {b: _points(cells, b) for b in cells.plan.benchmarks}
    points = {b: found for b, found in points.items() if found}
    rows = []
    for benchmark, found in points.items():
        line = pearson([point["x"] for point in found], [point["y"] for point in found])
        r, p = (f"{line.r:+.2f}", f"{line.p:.3f}") if line else (MISSING, MISSING)
        rows.append((cells.title(benchmark), str(len(found)), r, p))
    return Display(
        "Figure 3",
        "Intervention rate against score, over pairs (nudging)",
        ("benchmark", "pairs", "Pearson r", "p"),
        tuple(rows),
        (),
        (
            "the paper finds r < 0 with p < 0.05 on GSM8K, TruthfulQA and XSTest",
            "r needs three pairs; the paper has fifteen",
        ),
        {"label": "intervention rate", "series": {cells.title(b): found for b, found in points.items()}},
    )


def _points(cells: Cells, benchmark: str) -> list[dict[str, Any]]:
    found = []
    for pair in cells.plan.pairs:
        rate, score = cells.rate(pair, benchmark, "nudging"), cells.value(pair, benchmark, "nudging")
        if rate is not None and score is not None:
            found.append({"pair": pair, "x": rate / 100, "y": score})
    return found


MAKERS: tuple[Callable[[Cells], Display | None], ...] = (
    table_1,
    table_2,
    table_3,
    table_5,
    table_6,
    figure_2,
    figure_3,
)
