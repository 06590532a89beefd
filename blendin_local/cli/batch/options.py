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
    """Which rows, and how they are worked off."""

    parallel: Annotated[
        int | None, _rows("--parallel", "-np", min=1, help="Rows at once; by default by memory and cores.")
    ] = None
    field: Annotated[str | None, _rows("--field", help="Field or column of the prompt.")] = None
    skip_bad: Annotated[bool, _rows("--skip-bad", help="Leave bad rows out and record them.")] = False
    limit: Annotated[int | None, _rows("--limit", min=1, help="Only the first so many rows.")] = None
    shard: Annotated[str | None, _rows("--shard", metavar="I/N", help="Only every N-th row from row I.")] = (
        None
    )
    dry_run: Annotated[bool, _rows("--dry-run", help="Check and count the rows; load nothing.")] = False
    retry_errors: Annotated[bool, _rows("--retry-errors", help="Ask rows that failed again.")] = False
    restart: Annotated[bool, _rows("--restart", help="Throw earlier answers away.")] = False
    adopt: Annotated[bool, _rows("--adopt", help="Take over answers that have no whole manifest.")] = False
    yes: Annotated[bool, _rows("--yes", "-y", help="Do not ask before either.")] = False


@dataclass(frozen=True)
class ReportOptions:
    """What is written beside the answers."""

    steps: Annotated[bool, _report("--steps", help="Keep the record of every step.")] = False
    json: Annotated[bool, _report("--json", help="A summary as one JSON object on stdout.")] = False
    quiet: Annotated[bool, _report("--quiet", "-q", help="No progress.")] = False
