"""`blendin replay`: what another setting would have done to a stored answer.

Here: the command and its options.
Not here: deciding again (`jobs.replay`), how it looks (`views.replay`).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.options import BlendOptions, TerminalOptions
from blendin_local.cli.common.printing import print_json, print_note
from blendin_local.cli.common.verb import add_verb


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    add_verb(
        app,
        "replay",
        grouped(replay),
        Example(
            "Keep a trace of an answer", 'blendin run "Why is the sky blue?" --pair demo --trace sky.jsonl'
        ),
        Example("See what a lower threshold would have changed", "blendin replay sky.jsonl --threshold 0.2"),
        Example(
            "Do the same for one answer of a batch", "blendin replay answers.jsonl --id sky --method nudging"
        ),
    )


def replay(
    trace: Annotated[
        Path,
        typer.Argument(
            metavar="TRACE",
            help="A trace, a saved chat, the output of run --json or logs ID --json, or of batch --steps.",
            show_default=False,
        ),
    ],
    *,
    only: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="NAME",
            show_default="all",
            help="Replay only this answer of a batch, and show its first difference.",
        ),
    ] = None,
    blend: BlendOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    terminal: TerminalOptions,
) -> None:
    """Decide stored answers again with other settings, without the models."""
    from blendin_local.cli.common.screen import open_consoles  # noqa: PLC0415 - `--help` must not wait for these
    from blendin_local.jobs.replay.job import ReplaySpec, run_replay  # noqa: PLC0415
    from blendin_local.views.replay import replay_view, replays_view  # noqa: PLC0415

    consoles = open_consoles(terminal)
    report = run_replay(ReplaySpec(trace, blend.settings(), only), on_note=partial(print_note, consoles.err))
    if as_json:
        print_json(report.to_json())
    else:
        consoles.out.print(
            replay_view(report.answers[0]) if len(report.answers) == 1 else replays_view(report)
        )
