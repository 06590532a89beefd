"""A benchmark on the terminal.

Here: `bench_view` and `comparison_view`, pure functions from the record to rich renderables.
Not here: the record (`jobs.bench.report`), its conclusions (`jobs.bench.verdict`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from blendin_local.core.percent import percent
from blendin_local.engine.memory import mebibytes
from blendin_local.jobs.bench.compare import MeasurementChange
from blendin_local.jobs.bench.report import (
    BenchReport,
    DraftMeasurements,
    Measurement,
    MethodMeasurements,
    ModelMeasurements,
    ParallelMeasurements,
    ratio,
)
from blendin_local.jobs.bench.verdict import doubts
from blendin_local.views.answer import counted

Cell = str | Text
CHANGES = {"better": ("faster", "source.changed"), "worse": ("slower", "warning"), "noise": ("", "faint")}


def bench_view(bench: BenchReport) -> RenderableType:
    """All measurements, and the verdict at the end."""
    machine = bench.machine
    heading = (
        f"{bench.pair} on {machine['cores']} cores ({machine['system']}), "
        f"{counted(bench.workload.rounds, 'round')} in {bench.seconds:.0f} s"
    )
    parts: list[RenderableType] = [
        Text(heading, style="heading"),
        Text(
            "Medians over the rounds; ± is half the range from the slowest to the fastest round.",
            style="faint",
        ),
        _section("each model alone, tokens/s", models_table(bench.models)),
        _section("time to evaluate several tokens at once, relative to one", costs_table(bench.models)),
        _section("one answer at a time, without drafts", methods_table(bench.methods)),
        *_drafts(bench),
        _section("several answers at once", rows_table(bench.rows)),
        _section("memory and loading", Text(_memory(bench))),
        Text(),
    ]
    if why := doubts(bench):
        parts.append(
            Text(f"The machine was busy: {why}. Run the benchmark again when it is idle.", style="warning")
        )
    parts.append(Text(bench.verdict, style="heading"))
    return Group(*parts)


def _section(title: str, body: RenderableType) -> RenderableType:
    return Group(Text(), Text(title, style="role.base"), body)


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def number(value: float) -> str:
    """About three significant digits: `0.31`, `4.25`, `62.1`, `413`."""
    size = abs(value)
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def shown(measurement: Measurement) -> Text:
    """A median, with its spread if there is more than one trial."""
    if len(measurement.trials) == 1:
        return Text(number(measurement.median))
    return Text.assemble(number(measurement.median), (f" ±{percent(measurement.spread, 0)}", "faint"))


def _share(measurement: Measurement) -> str:
    return percent(measurement.median)


def models_table(models: Mapping[str, ModelMeasurements]) -> RenderableType:
    """Tokens per second: prefill, and decode at each thread count."""
    counts = sorted({n for model in models.values() for n in model.decode})
    table = _table("", "prompt", *(f"{n} thread{'s' if n > 1 else ''}" for n in counts))
    for role, model in models.items():
        table.add_row(role, shown(model.prefill), *(shown(model.decode[n]) for n in counts))
    names = "\n".join(f"{role}: {model.file}" for role, model in models.items())
    return Group(table, Text(names, style="faint"))


def costs_table(models: Mapping[str, ModelMeasurements]) -> RenderableType:
    """What a batch of tokens costs, relative to one token: it decides whether batching is worthwhile."""
    sizes = sorted({n for model in models.values() for n in model.at_once})
    table = _table("", *map(str, sizes))
    for role, model in models.items():
        table.add_row(role, *(number(model.at_once[n].median) for n in sizes))
    return table


def methods_table(methods: Mapping[str, MethodMeasurements]) -> RenderableType:
    """Speed of each method, and where its time goes."""
    columns = ("tokens/s", "1st token", "asked", "guide/step", "llama.cpp", "lists", "Python")
    table = _table("", *columns)
    for name, method in methods.items():
        cells: Sequence[Cell] = (
            shown(method.tokens_per_s),
            f"{number(method.first_token_ms.median)} ms",
            _share(method.asked),
            number(method.guide_tokens.median),
            _share(method.in_llama),
            _share(method.in_lists),
            _share(method.in_python),
        )
        table.add_row(name, *cells)
    return table


def _drafts(bench: BenchReport) -> list[RenderableType]:
    if bench.drafts is None:
        return []
    return [
        _section(
            "time to evaluate a draft of several tokens, relative to one", draft_costs_table(bench.models)
        ),
        _section("drafts: speed relative to the base alone", drafts_table(bench)),
        Text(_drafts_note(bench.drafts), style="faint"),
    ]


def draft_costs_table(models: Mapping[str, ModelMeasurements]) -> RenderableType:
    """What several tokens of one answer cost at once: it decides whether a draft pays."""
    sizes = sorted({n for model in models.values() for n in model.draft_cost})
    table = _table("", *map(str, sizes))
    for role, model in models.items():
        costs = model.draft_cost
        table.add_row(role, *(number(costs[n].median) if n in costs else "-" for n in sizes))
    return table


def drafts_table(bench: BenchReport) -> RenderableType:
    """Measured and predicted speed, with and without drafts."""
    drafts = bench.drafts
    assert drafts is not None, "there is a section only then"
    base = bench.methods["base"].tokens_per_s
    table = _table("", "guide's cost", "no drafts", "drafts", "tokens")
    this, tenth = drafts.predicted["this_guide"], drafts.predicted["a_tenth"]
    measured = shown(ratio(drafts.off, base)), shown(ratio(drafts.auto, base))
    table.add_row("this guide, measured", number(this.guide_cost.median), *measured, "auto")
    for name, each in (("this guide, predicted", this), ("a guide of a tenth, predicted", tenth)):
        cells = (number(value.median) for value in (each.guide_cost, each.without, each.drafts))
        table.add_row(name, *cells, f"{each.length.median:.0f}")
    return table


def _drafts_note(drafts: DraftMeasurements) -> str:
    drafted, accepted = drafts.drafted.median, drafts.accepted.median
    said = f"The guide alone would have guessed {_share(drafts.came_true)} of the steps. "
    if not drafted:
        return f"{said}--draft auto made no drafts."
    return f"{said}--draft auto drafted {number(drafted)} tokens per step; {number(accepted)} came true."


def rows_table(rows: Mapping[int, ParallelMeasurements]) -> RenderableType:
    """What answering in parallel gains."""
    table = _table("", *(str(n) for n in rows))
    table.add_row("tokens/s", *(shown(row.tokens_per_s) for row in rows.values()))
    table.add_row("relative to one", *(number(row.speedup.median) for row in rows.values()))
    return table


def _memory(bench: BenchReport) -> str:
    names = {"weights": "weights", "kv_cache": "KV cache", "compute": "compute", "ours": "this program"}
    parts = ", ".join(f"{mebibytes(bench.memory[key])} {name}" for key, name in names.items())
    return f"{mebibytes(bench.memory['resident'])}: {parts}\nloaded in {bench.load_s.median:.2f} s"


def comparison_view(changes: Sequence[MeasurementChange], warnings: Sequence[str]) -> RenderableType:
    """Old and new side by side; differences within the spread of the trials are dimmed."""
    table = _table("", "before", "now", "factor")
    table.add_column("", no_wrap=True)
    for change in changes:
        word, style = CHANGES[change.kind]
        table.add_row(
            Text(" ".join(change.path).replace("_", " "), style=style),
            Text(number(change.old.median), style=style),
            Text(number(change.new.median), style=style),
            Text(f"{change.factor:.2f}", style=style),
            Text(word, style=style),
        )
    notes = [Text(f"not the same benchmark: {warning}", style="warning") for warning in warnings]
    faint = Text("Dimmed: the trials overlap, so the difference may be chance.", style="faint")
    return Group(*notes, table, faint)
