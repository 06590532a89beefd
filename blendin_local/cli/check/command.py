"""`blendin check` (also `diagnose`): is this pair worth using?

Here: the command.
Not here: its options (`cli.check.options`, `cli.common.options`), what it does (`cli.check.run`).
"""

from __future__ import annotations

import typer

from blendin_local.cli.check.options import CheckOptions, CheckReportOptions
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
    """Add the verb to the application, under both of its names."""
    add_verb(
        app,
        "check",
        grouped(check),
        Example("Check a pair on built-in prompts", "blendin check --pair demo"),
        Example(
            "Check two files without loading their weights",
            "blendin check --base base.gguf --guide guide.gguf --static",
        ),
        Example(
            "Fit the temperatures for --alpha calibrated, and keep them", "blendin check --pair demo --write"
        ),
    )
    add_verb(app, "diagnose", grouped(check), hidden=True)


def check(
    *,
    what: CheckOptions,
    models: ModelOptions,
    runtime: RuntimeOptions,
    blend: BlendOptions,
    sampling: SamplingOptions,
    answer: AnswerOptions,
    report: CheckReportOptions,
) -> None:
    """Check whether a pair is worth using."""
    from blendin_local.cli.check.run import check_pair  # noqa: PLC0415 - `--help` must not wait for it

    check_pair(what, report, SessionOptions(models, runtime, blend, sampling, answer))
