"""`blendin tune`: settings of a pair, chosen on a validation set.

Here: the command.
Not here: what it does (`cli.tune.run`), which settings are tried (`jobs.tune`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.options import AnswerOptions, ModelOptions, RuntimeOptions
from blendin_local.cli.tune.options import TrialOptions, TuneOutputOptions


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
