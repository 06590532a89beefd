"""`blendin check` (also `diagnose`): is this pair worth using?

Here: the command.
Not here: its options (`cli.check.options`, `cli.common.options`), what it does (`cli.check.run`).
"""

from __future__ import annotations

import typer

from blendin_local.cli.check.options import CheckOptions, CheckReportOptions
from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
)


def register(app: typer.Typer) -> None:
    """Add the verb to the application, under both of its names."""
    app.command("check")(grouped(check))
    app.command("diagnose", hidden=True)(grouped(check))


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
