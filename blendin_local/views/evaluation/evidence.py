"""What a report shows of all methods of one pair together, as tables of words.

Here: `comparison_table`, every method against every other; `selection_table`, what a choice between the
answers of base and guide could reach.
Not here: one benchmark (`views.evaluation.tables`), how a table is drawn (`views.evaluation.terminal`,
`reports.evaluation`), the numbers (`jobs.evaluation.score`).
"""

from __future__ import annotations

from collections.abc import Iterator

from blendin_local.core.percent import percent
from blendin_local.jobs.evaluation.score.comparisons import MethodComparison
from blendin_local.jobs.evaluation.score.report import Report
from blendin_local.views.evaluation.tables import (
    MISSING,
    ReportTable,
    brief,
    interval,
    p_value,
    title_of,
)

MAX_ROWS = 12  # of comparisons in a terminal, before those without a clear difference are left out


def evidence_tables(report: Report, *, wide: bool = True) -> Iterator[ReportTable]:
    """Both tables of each pair, where there is something to show."""
    for pair in report.plan.pairs:
        found = comparison_table(report, pair, wide=wide), selection_table(report, pair, wide=wide)
        yield from (table for table in found if table is not None)


def comparison_table(report: Report, pair: str, *, wide: bool = True) -> ReportTable | None:
    """The difference of every two methods on each benchmark, with p-values for so many comparisons.

    Where it is not wide and has many rows, only those with a clear difference.
    """
    found = [each for each in report.comparisons if each.pair == pair]
    if not found:
        return None
    rows: dict[tuple[str, str], dict[str, MethodComparison]] = {}
    for each in found:
        rows.setdefault((each.a, each.b), {})[each.benchmark] = each
    shown = rows if wide or len(rows) <= MAX_ROWS else _clear(rows)
    benchmarks = list(dict.fromkeys(each.benchmark for each in found))
    which = f"after Holm's correction for the {len(found)} comparisons of this table"
    notes = [
        f"p {which if len(found) > 1 else 'of one comparison'}; * below .05",
        *([f"{len(rows) - len(shown)} rows without a * are in the report"] if len(shown) < len(rows) else []),
    ]
    return ReportTable(
        f"Methods against each other · {pair}",
        ("methods", *(title_of(report, benchmark) for benchmark in benchmarks)),
        tuple(
            (f"{a} vs {b}", *(_difference(found.get(benchmark), wide=wide) for benchmark in benchmarks))
            for (a, b), found in shown.items()
        ),
        tuple(notes),
    )


def _clear(
    rows: dict[tuple[str, str], dict[str, MethodComparison]],
) -> dict[tuple[str, str], dict[str, MethodComparison]]:
    return {names: found for names, found in rows.items() if any(each.clear for each in found.values())}


def _difference(found: MethodComparison | None, *, wide: bool) -> str:
    """`+0.12* p .003`, with the interval of the difference by itself if it fits."""
    if found is None:
        return MISSING
    d, mark = found.comparison.difference, "*" if found.clear else ""
    inside = f" [{d.low:+.2f}, {d.high:+.2f}]" if wide else ""
    return f"{d.value:+.2f}{mark}{inside} {p_value(found.p_holm)}"


def selection_table(report: Report, pair: str, *, wide: bool = True) -> ReportTable | None:
    """Ceiling, both wrong and exactly one right, by benchmark; None without answers of both models alone."""
    found = [each for each in report.ceilings if each.pair == pair]
    if not found:
        return None
    write = interval if wide else brief
    many = len({each.base for each in found}) > 1  # greedy and sampled
    rows = tuple(
        (
            title_of(report, each.benchmark) + (f", {_sampling(each.base)}" if many else ""),
            write(each.ceiling),
            percent(each.both_wrong, 0),
            write(each.one_right),
            f"{percent(each.base_only, 0)} / {percent(each.guide_only, 0)}",
        )
        for each in found
    )
    return ReportTable(
        f"What choosing between the answers of base and guide could reach · {pair}",
        ("benchmark", "ceiling", "both wrong", "one right", "base / guide only"),
        rows,
        (
            "ceiling: base or guide alone is right; no choice between their answers can be right more often",
            "a blended text can be right where both are wrong",
        ),
    )


def _sampling(name: str) -> str:
    """`temp=0.7` of `base[temp=0.7]`."""
    return name.partition("[")[2].removesuffix("]") or "greedy"
