"""`blendin bench`: what a pair does on this machine.

Here: the command, its options, and where the result goes.
Not here: the measurements (`jobs.bench`), the tables (`views.bench`).
"""

from __future__ import annotations

import json as json_format
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ColorChoice,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
)
from blendin_local.cli.common.printing import print_json

if TYPE_CHECKING:
    from rich.console import Console

    from blendin_local.jobs.bench.report import Bench

_bench = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True)
class BenchOptions:
    """How much is measured, and where the result goes."""

    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Trials of everything; fewer for large models.")
    ] = 3
    json: Annotated[bool, _bench("--json", help="One JSON object on stdout instead of tables.")] = False
    compare: Annotated[
        Path | None, _bench("--compare", help="The --json of an earlier benchmark to hold this one against.")
    ] = None
    color: Annotated[ColorChoice, _bench("--color", help="auto, on or off.")] = "auto"


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command("bench")(grouped(bench))


def bench(*, models: ModelOptions, runtime: RuntimeOptions, output: BenchOptions) -> None:
    """Measure what a pair does on this machine: speed, its parts, memory (two minutes for the demo pair)."""
    from blendin_local.jobs.bench.compare import read_record  # noqa: PLC0415 - `--help` must not wait for these
    from blendin_local.views.theme import make_consoles  # noqa: PLC0415

    consoles = make_consoles(output.color)
    old = read_record(output.compare) if output.compare else None
    method = _only_method(models)
    session = SessionOptions(models, runtime, BlendOptions(method=method), SamplingOptions(), AnswerOptions())
    found = _measure(session, output.rounds, consoles.err)
    if output.json:
        print_json(found.to_json())
    _show(found, consoles.err if output.json else consoles.out, old)


def _only_method(models: ModelOptions) -> str | None:
    """The method that is left where only one model is named."""
    if models.pair or bool(models.base) == bool(models.guide):
        return None
    return "base" if models.base else "guide"


def _measure(session: SessionOptions, rounds: int, err: Console) -> Bench:
    from rich.text import Text  # noqa: PLC0415

    from blendin_local.cli.common.interrupt import ordinary_interrupts  # noqa: PLC0415
    from blendin_local.cli.common.session import interaction, settle  # noqa: PLC0415
    from blendin_local.jobs.bench.job import Wish, run_bench  # noqa: PLC0415
    from blendin_local.jobs.bench.report import Sizes  # noqa: PLC0415
    from blendin_local.pair.resolve import locate_files  # noqa: PLC0415

    ready = settle(session, err)
    paths = locate_files(ready, tuple(ready.references), interaction(err))
    name = ready.pair_name or " guided by ".join(path.name for path in paths.values())
    wish = Wish(name, ready.setup.with_files(paths), ready.blend, replace(Sizes(), rounds=rounds))
    with ordinary_interrupts(), err.status(Text("bench"), spinner_style="footer") as status:
        try:
            return run_bench(wish, lambda what: status.update(Text(f"measuring: {what}")))
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt("the benchmark was stopped by you") from stop


def _show(found: Bench, console: Console, old: object) -> None:
    from blendin_local.jobs.bench.compare import compare, mismatches  # noqa: PLC0415
    from blendin_local.views.bench import bench_view, comparison_view  # noqa: PLC0415

    console.print(bench_view(found))
    if isinstance(old, dict):
        new = json_format.loads(json_format.dumps(found.to_json()))
        console.print()
        console.print(comparison_view(compare(old, new), mismatches(old, new)))
