"""`blendin batch`: a file of prompts in, a file of answers out.

Here: the command.
Not here: its options (`cli.batch.options`, `cli.common.options`), what it does (`cli.batch.run`), progress
(`cli.common.progress`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.batch.options import BatchReportOptions, RowOptions
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


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    add_verb(
        app,
        "batch",
        grouped(batch),
        Example(
            "Answer a file of prompts; the same command resumes",
            "blendin batch prompts.jsonl -o answers.jsonl --pair demo",
        ),
        Example(
            "Take the prompts from a column of a table",
            "blendin batch questions.csv -o answers.jsonl --field question --pair demo",
        ),
        Example(
            "Check the rows without loading a model", "blendin batch prompts.jsonl -o answers.jsonl --dry-run"
        ),
    )


def batch(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="Prompts: JSON Lines, .csv, .tsv, or .txt with one prompt per line.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Output file (JSON Lines). If it exists, the run resumes.", show_default=False
        ),
    ],
    rows: RowOptions,
    models: ModelOptions,
    runtime: RuntimeOptions,
    blend: BlendOptions,
    sampling: SamplingOptions,
    answer: AnswerOptions,
    report: BatchReportOptions,
) -> None:
    """Answer a file of prompts. Run the same command again to resume."""
    from blendin_local.cli.batch.run import run  # noqa: PLC0415 - `--help` must not wait for it

    session = SessionOptions(models, runtime, blend, sampling, answer)
    run(source, out, rows, report, session)
