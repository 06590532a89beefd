"""The options of `blendin check` that no other command has.

Not here: options it shares (`cli.common.options`), the command (`cli.check.command`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

_check = partial(typer.Option, rich_help_panel="Check")
_report = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True)
class CheckOptions:
    """What is measured."""

    prompts: Annotated[
        Path | None, _check("--prompts", metavar="FILE", help="Your own prompts, as for blendin batch.")
    ] = None
    field: Annotated[str | None, _check("--field", help="Field or column of the prompt.")] = None
    skip_bad: Annotated[bool, _check("--skip-bad", help="Leave bad rows out.")] = False
    limit: Annotated[int | None, _check("--limit", min=1, help="Prompts to ask. (default 20)")] = None
    static: Annotated[bool, _check("--static", help="Only what the files say; load no weights.")] = False
    parallel: Annotated[
        int | None,
        _check("--parallel", "-np", min=1, help="Answers at once; by default by memory and cores."),
    ] = None
    write: Annotated[
        bool, _check("--write", help="Keep the fitted temperatures with the pair in your models.toml.")
    ] = False
    name: Annotated[str | None, _check("--name", help="The pair to write, where none was named.")] = None


@dataclass(frozen=True)
class CheckReportOptions:
    """How the findings are given."""

    json: Annotated[bool, _report("--json", help="One JSON object instead of text.")] = False
    html: Annotated[Path | None, _report("--html", metavar="FILE", help="Write a report with plots.")] = None
    quiet: Annotated[bool, _report("--quiet", "-q", help="No progress.")] = False
