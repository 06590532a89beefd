"""`blendin eval`: methods, pairs and benchmarks side by side.

Here: the command.
Not here: its options (`cli.eval.options`, `cli.common.options`), what it does (`cli.eval.run`), how it is
shown (`views.evaluation`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.options import BlendOptions, ModelOptions, RuntimeOptions
from blendin_local.cli.common.verb import add_verb
from blendin_local.cli.eval.options import EvalReportOptions, ItemOptions, JudgeOptions, WhatOptions


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    add_verb(
        app,
        "eval",
        grouped(evaluate),
        Example(
            "Compare base, guide, nudging and blendin on two benchmarks",
            "blendin eval --pairs demo --benchmarks gsm8k,mmlu --limit 20 --out results",
        ),
        Example(
            "Compare one method with two thresholds",
            'blendin eval --pairs demo --methods "nudging[threshold=0.3],nudging" --limit 20 --out results',
        ),
        Example(
            "Compare greedy answers and sampled ones, three for each question",
            "blendin eval --pairs demo --benchmarks gsm8k --limit 20 --temp 0.7 --seeds 3 --out results",
        ),
        Example(
            "Score the answers again without running a model",
            "blendin eval --pairs demo --out results --score-only",
        ),
    )


def evaluate(
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder for answers and report. If it exists, the run resumes.",
            show_default=False,
        ),
    ],
    what: WhatOptions,
    items: ItemOptions,
    models: ModelOptions,
    runtime: RuntimeOptions,
    blend: BlendOptions,
    judge: JudgeOptions,
    report: EvalReportOptions,
) -> None:
    """Compare methods and models on benchmarks. A stopped run resumes with the same command."""
    from blendin_local.cli.eval import run  # noqa: PLC0415 - `--help` must not wait for it

    run.evaluate(run.EvalCommand(out, what, items, models, runtime, blend, judge, report))
