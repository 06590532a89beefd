"""The options of `blendin batch` that no other command has.

Not here: options it shares (`cli.common.options`), the command (`cli.batch.command`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

_rows = partial(typer.Option, rich_help_panel="Rows")
_report = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True)
class RowOptions:
    """Which rows to answer, and how."""

    parallel: Annotated[
        int | None,
        _rows("--parallel", "-np", min=1, show_default="by memory and cores", help="Rows to answer at once."),
    ] = None
    field: Annotated[
        str | None,
        _rows(
            "--field", metavar="NAME", show_default="prompt", help="Field or column that holds the prompt."
        ),
    ] = None
    skip_invalid: Annotated[
        bool, _rows("--skip-invalid", "--skip-bad", help="Record invalid rows as errors and continue.")
    ] = False
    limit: Annotated[
        int | None, _rows("--limit", min=1, show_default="all", help="Answer only the first N rows.")
    ] = None
    shard: Annotated[
        str | None,
        _rows(
            "--shard",
            metavar="I/N",
            help="Answer only every N-th row, starting with row I; auto in a SLURM job array.",
        ),
    ] = None
    dry_run: Annotated[bool, _rows("--dry-run", help="Check and count the rows without loading a model.")] = (
        False
    )
    retry_errors: Annotated[bool, _rows("--retry-errors", help="Answer failed rows again.")] = False
    restart: Annotated[bool, _rows("--restart", help="Delete earlier answers and start over.")] = False
    adopt: Annotated[bool, _rows("--adopt", help="Resume from answers whose manifest is lost.")] = False
    yes: Annotated[
        bool, _rows("--yes", "-y", help="Do not ask before --restart deletes or --adopt resumes.")
    ] = False


@dataclass(frozen=True)
class BatchReportOptions:
    """What is written beside the answers."""

    steps: Annotated[bool, _report("--steps", help="Include the question and the record of every step.")] = (
        False
    )
    json: Annotated[bool, _report("--json", help="Print a summary as one JSON object to stdout.")] = False
    quiet: Annotated[bool, _report("--quiet", "-q", help="Do not show progress.")] = False
