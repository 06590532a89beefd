"""`blendin tune`: settings of a pair, chosen on a validation set.

Here: the command and its own options.
Not here: what it does (`cli.tune.run`), which settings are tried (`jobs.tune`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.options import AnswerOptions, ModelOptions, RuntimeOptions

_tune = partial(typer.Option, rich_help_panel="Trials")
_report = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True)
class TrialOptions:
    """On what, and how far."""

    limit: Annotated[int | None, _tune("--limit", min=2, help="Only so many questions.")] = None
    target_rate: Annotated[
        float | None,
        _tune("--target-rate", help="Also find a threshold that asks the guide at this share of the steps."),
    ] = None
    parallel: Annotated[
        int | None,
        _tune("--parallel", "-np", min=1, help="Questions at once; by default by memory and cores."),
    ] = None


@dataclass(frozen=True)
class TuneOutputOptions:
    """What is said and written."""

    write: Annotated[
        bool, _report("--write", help="Write the chosen settings into your models.toml, as a pair.")
    ] = False
    name: Annotated[str | None, _report("--name", help="The name of that pair.")] = None
    json: Annotated[bool, _report("--json", help="The report as one JSON object on stdout.")] = False
    quiet: Annotated[bool, _report("--quiet", "-q", help="No progress.")] = False


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command("tune")(grouped(tune))


def tune(
    *,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="A benchmark (gsm8k, ...), or JSON lines with prompt and answer.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="A directory for the trials; go on if it is there.", show_default=False
        ),
    ],
    trials: TrialOptions,
    models: ModelOptions,
    runtime: RuntimeOptions,
    answer: AnswerOptions,
    output: TuneOutputOptions,
) -> None:
    """Choose threshold and alpha on a validation set; stopped at any time, the same command goes on."""
    from blendin_local.cli.tune.run import TuneCommand, run_tune  # noqa: PLC0415 - `--help` must not wait for it

    run_tune(TuneCommand(data, out, trials, models, runtime, answer, output))
