"""`blendin bench`: the command and its options.

Not here: what it does (`cli.bench.run`), the measurements (`jobs.bench`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
    TerminalOptions,
)
from blendin_local.cli.common.verb import add_verb

_bench = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True)
class BenchOptions:
    """How much is measured, and where the result goes."""

    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Number of trials of each measurement.")] = 3
    json: Annotated[
        bool, _bench("--json", help="Print one JSON object to stdout, and the tables to stderr.")
    ] = False
    compare: Annotated[
        Path | None,
        _bench(
            "--compare", metavar="FILE", help="Compare with an earlier benchmark: a file of --json output."
        ),
    ] = None


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    add_verb(
        app,
        "bench",
        grouped(bench),
        Example("Measure the demo pair", "blendin bench --pair demo"),
        Example("Measure one model alone", "blendin bench --base base.gguf"),
        Example("Compare with an earlier measurement", "blendin bench --pair demo --compare before.json"),
    )


def bench(
    *, models: ModelOptions, runtime: RuntimeOptions, output: BenchOptions, terminal: TerminalOptions
) -> None:
    """Measure the speed and memory of a pair on this machine."""
    from blendin_local.cli.bench.run import bench_pair  # noqa: PLC0415 - `--help` must not wait for it

    method = BlendOptions(method=_only_method(models))
    session = SessionOptions(models, runtime, method, SamplingOptions(), AnswerOptions())
    bench_pair(session, output.rounds, output.compare, terminal, as_json=output.json)


def _only_method(models: ModelOptions) -> str | None:
    """The method that is left where only one model is named."""
    if models.pair or bool(models.base) == bool(models.guide):
        return None
    return "base" if models.base else "guide"
