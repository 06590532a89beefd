"""The report of an evaluation as tables of words, which terminal, Markdown and HTML all show.

Here: `ReportTable`, and functions from a report to such tables.
Not here: how a table is drawn (`views.evaluation.terminal`, `reports.evaluation`), the numbers
(`jobs.evaluation.score`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blendin_local.core.percent import percent
from blendin_local.jobs.evaluation.score.cells import Cell, LikelihoodCell
from blendin_local.jobs.evaluation.score.report import Report
from blendin_local.jobs.evaluation.score.scored import JUDGED
from blendin_local.jobs.scoring.figures import Comparison
from blendin_local.jobs.scoring.statistics import Interval

MISSING = "-"
ENDS = {
    "base_end": "base",
    "guide_end": "guide",
    "stop_string": "stop string",
    "max_tokens": "limit",
    "context": "context",
    "repetition": "repetition",
    "failed": "failed",
}
FAULTS = ("no parse", "cut", "empty", "repetition", "endless", "failed")
FIGURE_NAMES = {
    "acc_norm": "option text, per byte",
    "acc": "option text",
    "letter": "letter",
    "mc1": "MC1",
    "mc2": "MC2",
}


@dataclass(frozen=True)
class ReportTable:
    """A table of words.

    Attributes:
        title: Above it.
        head: Names of the columns.
        rows: The first word of each names the row.
        notes: Sentences below it.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def title_of(report: Report, benchmark: str) -> str:
    """The benchmark's name in reports."""
    return str(report.plan.benchmarks[benchmark]["title"])


def in_words(figure: str) -> str:
    """A figure's name for a reader."""
    return FIGURE_NAMES.get(figure, figure.replace("_", " "))


def cells_of(report: Report, benchmark: str, pair: str) -> list[Cell]:
    """The methods of one pair on one benchmark."""
    return [cell for cell in report.cells if (cell.benchmark, cell.pair) == (benchmark, pair)]


def benchmark_pairs(report: Report) -> Iterator[tuple[str, str]]:
    """Benchmarks with their pairs, in order."""
    for benchmark in report.plan.benchmarks:
        for pair in report.plan.pairs:
            if cells_of(report, benchmark, pair):
                yield benchmark, pair


def section_title(report: Report, benchmark: str, pair: str) -> str:
    """`GSM8K · demo`."""
    return f"{title_of(report, benchmark)} · {pair}"


def interval(found: Interval | None) -> str:
    """`0.45 [0.36, 0.55]`."""
    return MISSING if found is None else f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def brief(found: Interval | None) -> str:
    """`0.45 .36-.55`: short enough for four methods on 80 columns."""
    if found is None:
        return MISSING
    low, high = (f"{end:.2f}".removeprefix("0") for end in (found.low, found.high))
    return f"{found.value:.2f} {low}-{high}"


def _share(value: float | None) -> str:
    return MISSING if value is None else percent(value, 0)


def p_value(p: float) -> str:
    """`p .03`, or `p <.001`."""
    return "p <.001" if p < 0.001 else f"p {p:.3f}".replace("0.", ".", 1)


def difference(found: Comparison | None, *, wide: bool) -> str:
    """`+0.12 p .003`, with its interval if it fits; `*` marks a significant difference."""
    if found is None:
        return MISSING
    d, mark = found.difference, "*" if found.clear else ""
    inside = f" [{d.low:+.2f}, {d.high:+.2f}]" if wide else ""
    return f"{d.value:+.2f}{mark}{inside} {p_value(found.p)}"


def _against(cell: Cell, baseline: str, figure: str = "") -> Comparison | None:
    return cell.comparisons.get(baseline, {}).get(figure or cell.main)


def score_table(report: Report, benchmark: str, pair: str, *, wide: bool = True) -> ReportTable:
    """The main figure of each method, against base and nudging."""
    cells = cells_of(report, benchmark, pair)
    rows = [
        (
            cell.variant,
            interval(cell.score),
            difference(_against(cell, "base"), wide=wide),
            difference(_against(cell, "nudging"), wide=wide),
            _share(cell.intervention_rate),
            _share(cell.changed_rate),
        )
        for cell in cells
    ]
    main = next((cell.main for cell in cells if cell.main), "")
    figure = in_words(main) or "score"
    short = [f"{cell.variant} has {_had(cell)} of {cell.wanted}" for cell in cells if not cell.complete]
    notes = [f"cut short: {', '.join(short)}"] if short else []
    head = ("method", f"{figure} [95 %]", "vs base", "vs nudging", "asked", "changed")
    items = report.plan.benchmarks[benchmark]["items"]
    return ReportTable(
        f"{section_title(report, benchmark, pair)} · {items} items", head, tuple(rows), tuple(notes)
    )


def _had(cell: Cell) -> int:
    return cell.answered + cell.failed


def figures_table(report: Report, benchmark: str, pair: str, *, wide: bool = True) -> ReportTable | None:
    """All figures of a benchmark that has several."""
    write = interval if wide else brief
    cells = cells_of(report, benchmark, pair)
    names = list(dict.fromkeys(name for cell in cells for name in cell.figures))
    if len(names) < 2:
        return None
    rows = tuple((cell.variant, *(write(cell.figures.get(name)) for name in names)) for cell in cells)
    return ReportTable("All figures", ("method", *map(in_words, names)), rows)


def ends_table(report: Report, benchmark: str, pair: str) -> ReportTable:
    """Lengths, speed, and by whom answers were ended."""
    cells = cells_of(report, benchmark, pair)
    known = [end for end in ENDS if any(end in cell.ended_by for cell in cells)]
    rows = [
        (
            cell.variant,
            f"{cell.mean_steps:.0f}",
            f"{cell.mean_characters:.0f}",
            speed(report, cell),
            *(str(cell.ended_by.get(end, 0)) for end in known),
        )
        for cell in cells
    ]
    head = ("method", "tokens", "characters", "tokens/s", *(f"ended by {ENDS[end]}" for end in known))
    return ReportTable("Length and end of answers", head, tuple(rows))


def speed(report: Report, cell: Cell) -> str:
    """Tokens of answers per second, over all rows at once."""
    times = report.times.get(f"{cell.pair} {cell.benchmark} {cell.variant}", {})
    value = times.get("steps_per_second")
    return MISSING if value is None else f"{value:.0f}"


def faults_table(report: Report, benchmark: str, pair: str) -> ReportTable:
    """What can be wrong with an answer beside being wrong."""
    rows = tuple(
        (cell.variant, *(str(cell.faults[name]) for name in FAULTS))
        for cell in cells_of(report, benchmark, pair)
    )
    return ReportTable("Faults, in answers", ("method", *FAULTS), rows)


def letters_table(report: Report, benchmark: str, pair: str) -> ReportTable | None:
    """How often each letter was answered, beside how often it is right."""
    cells = [cell for cell in cells_of(report, benchmark, pair) if cell.letters]
    likelihoods = [r for r in report.likelihoods if (r.benchmark, r.pair) == (benchmark, pair)]
    counts = [(cell.variant, cell.letters) for cell in cells]
    counts += [(f"{r.role}, likeliest letter", r.letters) for r in likelihoods]
    if likelihoods:
        counts.append(("the right ones", likelihoods[0].gold))
    if not counts:
        return None
    names = sorted({name for _, found in counts for name in found} - {"none"})
    rows = tuple((what, *(str(found.get(n, 0)) for n in (*names, "none"))) for what, found in counts)
    return ReportTable("Letters", ("", *names, "none"), rows)


def likelihood_table(report: Report, benchmark: str, pair: str) -> ReportTable | None:
    """Options read by log-likelihood, base and guide alone."""
    likelihoods = [r for r in report.likelihoods if (r.benchmark, r.pair) == (benchmark, pair)]
    if not likelihoods:
        return None
    names = list(likelihoods[0].figures)
    rows = tuple(
        (f"{r.role}{_missing(r)}", *(interval(r.figures.get(n)) for n in names)) for r in likelihoods
    )
    notes = (
        ("below a billion weights a letter is position bias: read the option text",)
        if _small(report, pair)
        else ()
    )
    return ReportTable("Options by log-likelihood", ("model alone", *map(in_words, names)), rows, notes)


def _missing(cell: LikelihoodCell) -> str:
    if cell.read < cell.wanted:
        return f" ({cell.read} of {cell.wanted})"
    return f" ({cell.failed} failed)" if cell.failed else ""


def _small(report: Report, pair: str) -> bool:
    models = report.plan.pairs[pair]["models"].values()
    return any(model.get("weights", 0) < 10**9 for model in models)


def judge_table(report: Report, benchmark: str, pair: str) -> ReportTable | None:
    """The judge's scores; answers that it failed to rate do not count as wrong."""
    cells = [cell for cell in cells_of(report, benchmark, pair) if cell.judge]
    if not cells:
        return None
    rows = tuple(
        (
            cell.variant,
            interval(cell.figures.get(JUDGED)),
            difference(_against(cell, "base", JUDGED), wide=True),
            difference(_against(cell, "nudging", JUDGED), wide=True),
            str((cell.judge or {})["failures"]),
        )
        for cell in cells
    )
    head = ("method", "judged [95 %]", "vs base", "vs nudging", "judge failed")
    return ReportTable(f"Judged by {report.plan.protocol.get('judge', 'a model')}", head, rows)


def summary_table(report: Report) -> ReportTable:
    """The main figure of every cell: a row per benchmark and pair, a column per method."""
    variants = list(report.plan.methods)
    many = len(report.plan.pairs) > 1
    rows = []
    for benchmark, pair in benchmark_pairs(report):
        found = {cell.variant: cell for cell in cells_of(report, benchmark, pair)}
        name = section_title(report, benchmark, pair) if many else title_of(report, benchmark)
        scores = (found[variant].score if variant in found else None for variant in variants)
        rows.append((name, *map(brief, scores)))
    return ReportTable("Scores with 95 % intervals", ("benchmark", *variants), tuple(rows))


def benchmark_tables(report: Report, benchmark: str, pair: str) -> Sequence[ReportTable]:
    """Everything about one pair on one benchmark."""
    makers = (
        score_table,
        figures_table,
        judge_table,
        likelihood_table,
        ends_table,
        faults_table,
        letters_table,
    )
    found = [make(report, benchmark, pair) for make in makers]
    return [table for table in found if table is not None]
