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
        Path | None,
        _check(
            "--prompts",
            metavar="FILE",
            show_default="built-in prompts",
            help="File of prompts, in any form that blendin batch reads.",
        ),
    ] = None
    field: Annotated[
        str | None,
        _check(
            "--field", metavar="NAME", show_default="prompt", help="Field or column that holds the prompt."
        ),
    ] = None
    skip_invalid: Annotated[bool, _check("--skip-invalid", "--skip-bad", help="Skip invalid rows.")] = False
    limit: Annotated[int | None, _check("--limit", min=1, show_default="20", help="Number of prompts.")] = (
        None
    )
    static: Annotated[bool, _check("--static", help="Check the model files only; load no weights.")] = False
    probe: Annotated[
        bool,
        _check(
            "--probe/--no-probe",
            help="Ask 40 short prompts that can be scored, of the base alone, of the guide alone and of "
            "both: does guiding pay?",
        ),
    ] = True
    parallel: Annotated[
        int | None,
        _check(
            "--parallel", "-np", min=1, show_default="by memory and cores", help="Prompts to answer at once."
        ),
    ] = None
    write: Annotated[
        bool, _check("--write", help="Write the fitted temperatures to the pair in your models.toml.")
    ] = False
    name: Annotated[
        str | None,
        _check(
            "--name",
            metavar="NAME",
            show_default="the pair that is checked",
            help="Name of the pair to write.",
        ),
    ] = None


@dataclass(frozen=True)
class CheckReportOptions:
    """Where the report goes."""

    json: Annotated[bool, _report("--json", help="Print one JSON object instead of text.")] = False
    html: Annotated[Path | None, _report("--html", metavar="FILE", help="Write a page with plots.")] = None
    quiet: Annotated[bool, _report("--quiet", "-q", help="Show no progress.")] = False
