"""The options of `blendin tune` that no other command has.

Not here: options it shares (`cli.common.options`), the command (`cli.tune.command`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import typer

from blendin_local.cli.common import completion

_tune = partial(typer.Option, rich_help_panel="Trials")
_report = partial(typer.Option, rich_help_panel="Output")


@dataclass(frozen=True)
class TrialOptions:
    """What is tuned, on which questions of the program, how many, and to which rate."""

    method: Annotated[
        Literal["blendin", "steer"],
        _tune(
            "--method",
            help="What to tune: blendin (threshold and alpha), or steer (scale and layers of the "
            "--base-control-vector, which needs a gate).",
        ),
    ] = "blendin"

    purpose: Annotated[
        str | None,
        _tune(
            "--for",
            metavar="safety|instructions",
            autocompletion=completion.purposes,
            show_default=False,
            help="Instead of --data: 20 prompts that come with the program, and are not your questions.",
        ),
    ] = None
    limit: Annotated[int | None, _tune("--limit", min=2, show_default="all", help="Number of questions.")] = (
        None
    )
    target_rate: Annotated[
        float | None,
        _tune(
            "--target-rate",
            help="For blendin: also find a threshold at which the guide is asked at this share of the steps.",
        ),
    ] = None
    parallel: Annotated[
        int | None,
        _tune(
            "--parallel",
            "-np",
            min=1,
            show_default="by memory and cores",
            help="Questions to answer at once.",
        ),
    ] = None


@dataclass(frozen=True)
class TuneOutputOptions:
    """Where the result goes."""

    write: Annotated[
        bool, _report("--write", help="Write the chosen settings to a pair in your models.toml.")
    ] = False
    name: Annotated[
        str | None,
        _report(
            "--name", metavar="NAME", show_default="the pair that is tuned", help="Name of the pair to write."
        ),
    ] = None
    json: Annotated[bool, _report("--json", help="Print the report as one JSON object.")] = False
    quiet: Annotated[bool, _report("--quiet", "-q", help="Show no progress.")] = False
