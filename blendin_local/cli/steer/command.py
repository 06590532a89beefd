"""`blendin steer`: steering vectors learned from contrasting prompts.

Here: the command and its options.
Not here: what it does (`cli.steer.run`), how a vector is learned (`jobs.steer`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
)
from blendin_local.cli.common.verb import add_verb
from blendin_local.cli.steer.options import Aligned, Base, SteerModelOptions


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    add_verb(
        app,
        "steer",
        grouped(steer),
        Example(
            "Learn what an aligned model does with harmful prompts, for the base that it was made from",
            "blendin steer learn --base base.gguf --aligned instruct.gguf --contrast prompts.jsonl -o v.gguf",
        ),
        Example(
            "Then use it", "blendin run --base base.gguf --method base --base-control-vector v.gguf:0.5 Hello"
        ),
    )


def steer(
    action: Annotated[Literal["learn"], typer.Argument(help="What to do.", show_default=False)],
    *,
    base: Base,
    aligned: Aligned,
    contrast: Annotated[
        Path,
        typer.Option(
            "--contrast",
            metavar="FILE",
            help="JSON Lines with prompt and label, which is harmful or harmless.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FILE", help="The GGUF file to write; a new one.", show_default=False
        ),
    ],
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            metavar="FIRST-LAST",
            help="The layers to steer, counted from 0; layer 0 cannot be.",
            show_default="the middle third",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    models: SteerModelOptions,
    runtime: RuntimeOptions,
) -> None:
    """Learn a steering vector from contrasting prompts, as a control vector with a gate."""
    from blendin_local.cli.steer.run import learn  # noqa: PLC0415 - `--help` must not wait for it

    del action  # there is one
    options = SessionOptions(
        models.as_pair(base, aligned),
        runtime,
        BlendOptions(),
        SamplingOptions(),
        AnswerOptions(system=models.system),
    )
    learn(contrast, out, layers, options, as_json=json, quiet=quiet)
