"""Which rule wins: every rule against the default, on each pair and benchmark, for docs/methods.md.

Here: `rule_tables`, from the answers as data; `table_line`, for all tables.
Not here: the answers (`evidence_data`); each method against the models alone, and the command that writes
both pages (`evidence_table`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from evidence_data import PairData

from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.evaluation.score.scored import ScoredMethod
from blendin_local.jobs.scoring.figures import Comparison, compare, figures
from blendin_local.jobs.scoring.statistics import holm
from blendin_local.views.evaluation.tables import MISSING

DEFAULT = "blendin"
CLEAR = 0.05


@dataclass(frozen=True)
class Cell:
    """A rule on one benchmark of one pair.

    Attributes:
        pair: Name of the pair.
        benchmark: Name of the benchmark.
        rule: The method, with the settings that set it apart.
        of_default: The default's score.
        comparison: The rule's against it, on the same questions.
        p_holm: Its p-value after Holm's correction over all cells.
    """

    pair: str
    benchmark: str
    rule: str
    of_default: float
    comparison: Comparison
    p_holm: float = 1.0

    @property
    def text(self) -> str:
        """The difference: `*` where it is clear by itself, a dagger where it is among all of the table."""
        mark = " †" if self.p_holm < CLEAR else r" \*" if self.comparison.clear else ""
        return f"{self.comparison.difference.value:+.2f}{mark}"


def cells(pairs: Iterable[PairData]) -> list[Cell]:
    """Every greedy rule that asks a guide, but the default itself, against the default."""
    found = [cell for data in pairs for name in BENCHMARKS for cell in _cells_of(data.methods(name))]
    adjusted = holm([cell.comparison.p for cell in found])
    return [replace(cell, p_holm=p) for cell, p in zip(found, adjusted, strict=True)]


def _cells_of(methods: Sequence[ScoredMethod]) -> Iterator[Cell]:
    default = next((each for each in methods if each.name == DEFAULT), None)
    for each in methods if default else ():
        assert default is not None
        if each.method in ("base", "guide") or each is default or each.temperature:
            continue
        benchmark = BENCHMARKS[each.benchmark]
        comparison = compare(benchmark, benchmark.main_figure, each.verdicts, default.verdicts)
        if comparison is not None:
            of_default = figures(benchmark, default.verdicts)[benchmark.main_figure].value
            yield Cell(each.pair, each.benchmark, each.name, of_default, comparison)


def rule_tables(pairs: Sequence[PairData]) -> dict[str, str]:
    """`rules`, with a row for each pair and benchmark; `rules_counted`, with a row for each rule."""
    found = cells(pairs)
    count = Counter(cell.rule for cell in found)
    rules = sorted(count, key=lambda rule: -count[rule])
    by_place: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in sorted(found, key=lambda cell: list(BENCHMARKS).index(cell.benchmark)):
        by_place.setdefault((cell.benchmark, cell.pair), {})[cell.rule] = cell
    lines = [
        table_line(["benchmark", "pair", DEFAULT, *rules]),
        "| --- | --- |" + " ---: |" * (1 + len(rules)),
    ]
    for (name, pair), row in by_place.items():
        differences = (row[rule].text if rule in row else MISSING for rule in rules)
        score = next(iter(row.values())).of_default
        lines.append(table_line([BENCHMARKS[name].title, pair, f"{score:.2f}", *differences]))
    return {"rules": "\n".join(lines), "rules_counted": "\n".join(_counted(found, rules))}


def _counted(found: Sequence[Cell], rules: Sequence[str]) -> list[str]:
    """For each rule: how often it is above the default, clearly so, and its mean difference."""
    head = ["rule", "compared", "higher", "lower", "clearly higher", "clearly lower", "mean difference"]
    lines = [table_line(head), "| --- |" + " ---: |" * (len(head) - 1)]
    for rule in rules:
        own = [cell.comparison for cell in found if cell.rule == rule]
        values = [comparison.difference.value for comparison in own]
        clear = [comparison.difference.value for comparison in own if comparison.clear]
        counts = [sum(v > 0 for v in values), sum(v < 0 for v in values)]
        counts += [sum(v > 0 for v in clear), sum(v < 0 for v in clear)]
        lines.append(table_line([rule, str(len(own)), *map(str, counts), f"{fmean(values):+.3f}"]))
    return lines


def table_line(texts: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(texts)} |"
