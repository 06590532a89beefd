"""The tables and the picture of docs/evidence.md, and the tables of docs/methods.md, without a model.

Run: python benchmarks/evidence_table.py [--collect FOLDER]

It reads the answers in `benchmarks/evidence`, and writes docs/evidence.svg and the tables between the marks
of both pages. `--collect` first makes the files of `benchmarks/evidence` again from a folder of evaluations
(`evidence.py`) and says how large they are.

Here: figures and comparisons as rows, the rows as Markdown, the picture.
Not here: the answers as data (`evidence_data.py`), the rules against each other (`evidence_rules.py`), the
statistics (`jobs.scoring`).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evidence_data import PairData, Run, collect, read, write
from evidence_rules import CLEAR, rule_tables, table_line

from blendin_local.core.percent import percent
from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.evaluation.score.scored import ScoredMethod
from blendin_local.jobs.scoring.figures import Comparison, compare, figures
from blendin_local.jobs.scoring.items import Benchmark
from blendin_local.jobs.scoring.statistics import Interval, holm
from blendin_local.reports.plots.charts import Estimate, intervals
from blendin_local.views.evaluation.tables import MISSING, interval

ROOT = Path(__file__).parent.parent
DATA = ROOT / "benchmarks" / "evidence"
PAGE, PICTURE = ROOT / "docs" / "evidence.md", ROOT / "docs" / "evidence.svg"
PAGE_OF_RULES = ROOT / "docs" / "methods.md"
ALONE = ("base", "guide")
SHOWN = ("base", "guide", "blendin")  # in the picture
RELATIONS = {1: "above", -1: "below"}
WITH_PARTS = frozenset({"xstest"})  # whose further figures tell what the main one is made of
TIMED = frozenset({"justeval-safe"})  # run in one go, each process on a core of its own
REST = "-all"
ORDER = ("xstest", "justeval-safe", "ifeval", "gsm8k")
MARKS = re.compile(r"(<!-- tables (?P<name>\w+) -->\n).*?(<!-- end of (?P=name) -->)", re.S)


@dataclass(frozen=True)
class Row:
    """One method of one pair on one benchmark.

    Attributes:
        benchmark: The task: a benchmark, or the rest of its questions (`xstest-all`).
        figures: Each with its interval, the benchmark's main figure first.
        asked: The share of steps at which the guide was consulted; None for a model alone.
        work: Weights read per token beside the base alone: those of each model times the tokens it evaluated.
        time: Seconds per token beside the base alone; None where a time is not known.
        against: The comparison with the base and the guide alone, by their names.
        is_sampled: Whether the answers are sampled, not greedy.
        p_holm: `p_both` after Holm's correction over all rows of its family that have it.
    """

    pair: str
    benchmark: str
    method: str
    figures: Mapping[str, Interval]
    asked: float | None
    work: float | None
    time: float | None
    against: Mapping[str, Comparison]
    is_sampled: bool = False
    p_holm: float | None = None

    @property
    def family(self) -> tuple[bool, bool]:
        """The rows that are corrected together: what was planned first, the rest, what is sampled."""
        return is_rest(self.benchmark), self.is_sampled

    @property
    def main(self) -> Interval:
        """The benchmark's main figure."""
        return next(iter(self.figures.values()))

    @property
    def p_both(self) -> float | None:
        """P-value of being above both models alone, the larger of the two; None without both."""
        if set(self.against) != set(ALONE):
            return None
        above = all(each.difference.value > 0 for each in self.against.values())
        return max(each.p for each in self.against.values()) if above else 1.0


def table_rows(pairs: Iterable[PairData]) -> list[Row]:
    """A row for each method, with Holm's correction over all that are compared with both models.

    What was asked anew of other questions, to see if it holds, is corrected by itself, and so is what is
    sampled.
    """
    rows = [row for data in pairs for row in _rows_of(data)]
    adjusted: dict[int, float] = {}
    for family in {row.family for row in rows}:
        found = [(i, row.p_both) for i, row in enumerate(rows) if row.family == family]
        known = [(i, p) for i, p in found if p is not None]
        adjusted |= dict(zip((i for i, _ in known), holm([p for _, p in known]), strict=True))
    return [replace(row, p_holm=adjusted.get(i)) for i, row in enumerate(rows)]


def is_rest(task: str) -> bool:
    """Whether a task asks what another has not asked: `xstest-all` beside `xstest`."""
    return task.endswith(REST)


def benchmark_of(task: str) -> Benchmark:
    """The benchmark that a task asks."""
    return BENCHMARKS[task.removesuffix(REST)]


def _rows_of(data: PairData) -> Iterator[Row]:
    for task in dict.fromkeys(run.task for run in data.runs):
        yield from _rows_of_task(data, task)


def _rows_of_task(data: PairData, task: str) -> Iterator[Row]:
    methods = replace(data, runs=tuple(_without_known(data))).methods(task)
    runs: dict[str, list[Run]] = {}
    for run in data.runs:
        if run.task == task:
            runs.setdefault(run.method, []).append(run)
    for scored in methods:
        alone = {
            name: other
            for other in methods
            for name in ALONE
            if other.rule == (name, {}) and _is_peer(other, scored)
        }
        own, of_base = runs[scored.name], runs[alone["base"].name] if "base" in alone else []
        is_alone = any(scored is other for other in alone.values())
        yield Row(
            data.pair,
            task,
            scored.name,
            figures(benchmark_of(task), scored.verdicts),
            None if scored.rule[0] in ALONE else _share_asked(own),
            _beside(own, of_base, lambda run: _work(run, data.facts["models"])),
            _beside(own, of_base, lambda run: run.seconds),
            {} if is_alone else _against(scored, alone),
            scored.temperature > 0,
        )


def _without_known(data: PairData) -> Iterator[Run]:
    """The runs; those of the rest without the questions that were asked before."""
    for run in data.runs:
        plain = run.task.removesuffix(REST)
        known = {key for other in data.runs if other.task == plain for key in other.cell.answers}
        verdicts = {key: verdict for key, verdict in run.cell.verdicts.items() if key not in known}
        yield replace(run, cell=replace(run.cell, verdicts=verdicts)) if is_rest(run.task) else run


def _is_peer(alone: ScoredMethod, method: ScoredMethod) -> bool:
    """Whether a model alone is what a method is held against: at its temperature, with nothing else set."""
    return alone.temperature == method.temperature and len(alone.sampling) <= 1


def _share_asked(runs: Sequence[Run]) -> float | None:
    steps = sum(run.steps for run in runs)
    return sum(run.asked for run in runs) / steps if steps else None


def _beside(runs: Sequence[Run], base: Sequence[Run], of_run: Callable[[Run], float | None]) -> float | None:
    """What a method takes per token beside the base alone; None where it is not known."""
    own, of_base = _per_step(runs, of_run), _per_step(base, of_run)
    return own / of_base if own and of_base else None


def _per_step(runs: Sequence[Run], of_run: Callable[[Run], float | None]) -> float | None:
    taken, steps = [of_run(run) for run in runs], sum(run.steps for run in runs)
    return None if not steps or None in taken else sum(filter(None, taken)) / steps


def _work(run: Run, models: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Weights times tokens of all models; None where the weights are not known."""
    if not all("weights" in models.get(role, {}) for role, n in run.evaluated.items() if n):
        return None
    return float(sum(models[role]["weights"] * n for role, n in run.evaluated.items() if n))


def _against(scored: ScoredMethod, alone: Mapping[str, ScoredMethod]) -> dict[str, Comparison]:
    benchmark = benchmark_of(scored.benchmark)
    found = {
        name: compare(benchmark, benchmark.main_figure, scored.verdicts, alone[name].verdicts)
        for name in ALONE
        if name in alone
    }
    return {name: each for name, each in found.items() if each is not None}


def beats(row: Row) -> str:
    """What a row's comparisons say, in a word or two."""
    if set(row.against) != set(ALONE):
        return MISSING
    signs = {name: _sign(found) for name, found in row.against.items()}
    if all(sign > 0 for sign in signs.values()):
        return f"**above both**{' †' if row.p_holm is not None and row.p_holm < CLEAR else ''}"
    words = [f"{RELATIONS[sign]} the {name}" for name, sign in signs.items() if sign]
    return ", ".join(words) or "no clear difference"


def _sign(found: Comparison) -> int:
    """1 or -1 for a clear difference, else 0."""
    return 0 if not found.clear else 1 if found.difference.value > 0 else -1


def summary(rows: Sequence[Row], method: str) -> list[str]:
    """A method on every pair and benchmark in one table: what it beats."""
    benchmarks = _benchmarks(rows)
    by_cell = {(row.pair, row.benchmark): row for row in rows if row.method == method}
    lines = [table_line([method, *(benchmark_of(name).title for name in benchmarks)])]
    lines.append("| --- |" + " --- |" * len(benchmarks))
    for pair in _pairs(rows):
        lines.append(table_line([pair, *(_summary_cell(by_cell.get((pair, name))) for name in benchmarks)]))
    return lines


def _summary_cell(row: Row | None) -> str:
    return MISSING if row is None else f"{row.main.value:.2f}: {beats(row)}"


def counts(rows: Sequence[Row]) -> list[str]:
    """For each method, on how many pairs and benchmarks it is clearly above both models, or one, or below."""
    relations = (f"{relation} the {name}" for relation in RELATIONS.values() for name in ALONE)
    lines = [table_line(["method", "compared", "above both", *relations]), "| --- |" + " ---: |" * 6]
    for method in dict.fromkeys(row.method for row in rows if row.against):
        found = [row for row in rows if row.method == method and set(row.against) == set(ALONE)]
        signs = [{name: _sign(row.against[name]) for name in ALONE} for row in found]
        numbers = [
            len(found),
            sum(all(sign > 0 for sign in each.values()) for each in signs),
            *(sum(each[name] == sign for each in signs) for sign in RELATIONS for name in ALONE),
        ]
        lines.append(table_line([method, *map(str, numbers)]))
    return lines


def details(rows: Sequence[Row], benchmark: str) -> list[str]:
    """Every method of every pair on one benchmark; measured times only where they can be trusted."""
    main, *further = benchmark_of(benchmark).parts
    further = further if benchmark_of(benchmark).name in WITH_PARTS else []
    names = [each.replace("_", " ") for each in (main, *further)]
    costs = ["work", "time"] if benchmark in TIMED else ["work"]
    head = [
        "pair",
        "method",
        *names,
        "asked",
        *costs,
        *(f"against the {name}" for name in ALONE),
        "clearly",
    ]
    lines = [table_line(head), "| --- | --- |" + " ---: |" * (len(head) - 3) + " --- |"]
    for row in rows:
        if row.benchmark == benchmark:
            lines.append(table_line(_details(row, further, costs)))
    return lines


def _details(row: Row, further: Sequence[str], costs: Sequence[str]) -> list[str]:
    ratios = [getattr(row, name) for name in costs]
    return [
        row.pair,
        row.method,
        interval(row.main),
        *(f"{row.figures[name].value:.2f}" if name in row.figures else MISSING for name in further),
        MISSING if row.asked is None else percent(row.asked, 0),
        *(MISSING if ratio is None else f"{ratio:.1f}" for ratio in ratios),
        *(_difference(row.against.get(name)) for name in ALONE),
        beats(row) if row.against else "",
    ]


def _difference(found: Comparison | None) -> str:
    """`+0.12 [+0.03, +0.21]`, with `*` where it is clear by itself."""
    if found is None:
        return ""
    d, mark = found.difference, r" \*" if found.clear else ""
    return f"{d.value:+.2f} [{d.low:+.2f}, {d.high:+.2f}]{mark}"


def picture(rows: Sequence[Row]) -> str:
    """Points with intervals of base, guide and blend: a panel for each benchmark, a row for each pair."""
    rows = _main_rows(rows)
    pairs = _pairs(rows)
    by_cell = {(row.pair, row.benchmark, row.method): row.main for row in rows}
    panels = {
        benchmark_of(name).title: {
            method: [_estimate(by_cell.get((pair, name, method))) for pair in pairs] for method in SHOWN
        }
        for name in _benchmarks(rows)
    }
    return str(intervals("Each model alone, and guided: scores with 95 % intervals", pairs, panels)) + "\n"


def _estimate(found: Interval | None) -> Estimate | None:
    return None if found is None else Estimate(found.value, found.low, found.high)


def _pairs(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.pair for row in rows))


def _benchmarks(rows: Sequence[Row]) -> list[str]:
    found = {row.benchmark for row in rows}
    return [name for name in dict.fromkeys((*ORDER, *BENCHMARKS, *sorted(found))) if name in found]


def _main_rows(rows: Sequence[Row]) -> list[Row]:
    """The greedy ones, without those of the rest: others would count a pair twice."""
    return [row for row in rows if not is_rest(row.benchmark) and not row.is_sampled]


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """What stands between each pair of marks in the page."""
    main = _main_rows(rows)
    made = {"summary": "\n".join(summary(main, "blendin")), "counts": "\n".join(counts(main))}
    greedy, sampled = ([row for row in rows if row.is_sampled is which] for which in (False, True))
    for name in _benchmarks(greedy):
        made[name.replace("-", "_")] = "\n".join(details(greedy, name))
    for name in _benchmarks(sampled):
        made[f"{name.replace('-', '_')}_sampled"] = "\n".join(details(sampled, name))
    return made


def with_tables(page: str, made: Mapping[str, str]) -> str:
    """The page with its tables written anew."""

    def anew(found: re.Match[str]) -> str:
        return f"{found[1]}\n{made.get(found['name'], 'Not run yet.')}\n\n{found[3]}"

    return MARKS.sub(anew, page)


def stored_pairs(folder: Path = DATA) -> list[PairData]:
    """All pairs of the repository's data, in the order of their names."""
    return [read(path) for path in sorted(folder.glob("*.jsonl.gz"))]


def main() -> None:
    """Write the tables and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--collect", type=Path, help="folder of evaluations, to make the data from")
    given = parser.parse_args()
    if given.collect is not None:
        written = [write(DATA, data) for data in collect(given.collect)]
        print(f"{len(written)} files, {sum(path.stat().st_size for path in written):,} bytes: {DATA}")
    pairs = stored_pairs()
    rows = table_rows(pairs)
    PICTURE.write_text(picture(rows), encoding="utf-8")
    for page, made in ((PAGE, tables(rows)), (PAGE_OF_RULES, rule_tables(pairs))):
        page.write_text(with_tables(page.read_text(encoding="utf-8"), made), encoding="utf-8")
    print(f"{len(rows)} rows: {PAGE}, {PAGE_OF_RULES}, {PICTURE}")


if __name__ == "__main__":
    main()
