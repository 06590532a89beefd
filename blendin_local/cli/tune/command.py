"""`blendin tune`: settings of a pair, chosen on a validation set.

Here: the command.
Not here: what it does (`cli.tune.run`), which settings are tried (`jobs.tune`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.common import completion
from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
)
from blendin_local.cli.common.verb import add_verb
from blendin_local.cli.tune.options import TrialOptions, TuneOutputOptions


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    add_verb(
        app,
        "tune",
        grouped(tune),
        Example(
            "Choose the threshold and alpha on 50 questions of GSM8K",
            "blendin tune --data gsm8k --limit 50 --out trials --pair demo",
        ),
        Example(
            "Without questions of your own: 20 prompts on safety that come with the program",
            "blendin tune --for safety --out trials --pair demo",
        ),
        Example(
            "Use questions of your own, and keep the result",
            "blendin tune --data questions.jsonl --out trials --pair demo --write",
        ),
        Example(
            "Choose how strongly a control vector steers the base, and which layers",
            "blendin tune --method steer --for safety --out trials --base base.gguf "
            "--base-control-vector v.gguf",
        ),
    )


def tune(
    *,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|FILE",
            autocompletion=completion.benchmarks,
            help="A benchmark (gsm8k, ...), or a file of JSON Lines with prompt and answer.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder for the trials. If it exists, the run resumes.",
            show_default=False,
        ),
    ],
    trials: TrialOptions,
    models: ModelOptions,
    runtime: RuntimeOptions,
    answer: AnswerOptions,
    output: TuneOutputOptions,
) -> None:
    """Tune a pair on a validation set: threshold and alpha, or scale and layers of a control vector."""
    from blendin_local.cli.tune.run import tune_pair  # noqa: PLC0415 - `--help` must not wait for it

    session = SessionOptions(models, runtime, BlendOptions(), SamplingOptions(), answer)
    tune_pair(data, out, trials, session, output)
