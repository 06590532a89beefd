"""The options of `blendin tune` that no other command has.

Not here: options it shares (`cli.common.options`), the command (`cli.tune.command`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

_tune = partial(typer.Option, rich_help_panel="Trials")
_report = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True)
class TrialOptions:
    """On what, and how far."""

    limit: Annotated[int | None, _tune("--limit", min=2, help="Only so many questions.")] = None
    target_rate: Annotated[
        float | None,
        _tune("--target-rate", help="Also find a threshold that asks the guide at this share of the steps."),
    ] = None
    parallel: Annotated[
        int | None,
        _tune("--parallel", "-np", min=1, help="Questions at once; by default by memory and cores."),
    ] = None


@dataclass(frozen=True)
class TuneOutputOptions:
    """What is said and written."""

    write: Annotated[
        bool, _report("--write", help="Write the chosen settings into your models.toml, as a pair.")
    ] = False
    name: Annotated[str | None, _report("--name", help="The name of that pair.")] = None
    json: Annotated[bool, _report("--json", help="The report as one JSON object on stdout.")] = False
    quiet: Annotated[bool, _report("--quiet", "-q", help="No progress.")] = False
