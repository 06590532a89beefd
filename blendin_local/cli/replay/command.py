"""`blendin replay`: what another setting would have done to a stored answer, or another candidate.

Here: the command and its options.
Not here: deciding again (`jobs.replay`), how it looks (`views.replay`), an answer that goes on
(`cli.replay.fork`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blendin_local.cli.common.given import given_options
from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    OutputOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
    TerminalOptions,
)
from blendin_local.cli.common.printing import print_json, print_note
from blendin_local.cli.common.verb import add_verb
from blendin_local.cli.replay import completion
from blendin_local.errors import UsageError

if TYPE_CHECKING:
    from blendin_local.views.theme import Consoles

EXAMPLE = (
    "Recorded answers of Qwen2.5-Coder 1.5B, prompted with plain text as a base is, and of its 0.5B model as "
    "the guide; no model is loaded. The questions were chosen by hand, to show what guiding can do and, in "
    "the last one, where it fails. The project's docs/evidence.md has what it does on average."
)
_fork = partial(typer.Option, rich_help_panel="Fork")
PLAIN = frozenset(
    {"file", "example", "only", "json", "html", "fork", "models_file"}
)  # beside the options of blend and screen


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
        Example("See what guiding can do, without any model: recorded answers", "blendin replay --example"),
        Example("See what else could have been said at step 5", "blendin replay sky.jsonl --fork 5"),
        Example(
            "Let the answer go on from there with the second of these",
            "blendin replay sky.jsonl --fork 5 --candidate 2",
        ),
    )


def replay(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A trace, a saved chat, the output of run --json or logs ID --json, or of batch --steps.",
            show_default=False,
        ),
    ] = None,
    *,
    example: Annotated[
        bool,
        typer.Option(
            "--example",
            help="Instead of a file: recorded answers that come with the program, to questions chosen to "
            "show what guiding can do.",
        ),
    ] = False,
    only: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="NAME",
            show_default="all",
            help="Replay only this answer of a file with several, and show its first difference.",
            autocompletion=completion.answer_ids,
        ),
    ] = None,
    fork: Annotated[
        str | None,
        _fork(
            "--fork",
            metavar="N",
            help="Go on from step N with another candidate: this loads the models. Options of models, "
            "sampling, answer and output (but --json and --html) are for it alone; what is not given is as "
            "it was recorded.",
            autocompletion=completion.steps,
        ),
    ] = None,
    candidate: Annotated[
        str | None,
        _fork(
            "--candidate",
            metavar="NUMBER|TEXT",
            show_default="show the candidates of the step",
            help="The candidate to go on with: its number in the list, or a text.",
            autocompletion=completion.candidates,
        ),
    ] = None,
    context: typer.Context,
    blend: BlendOptions,
    models: ModelOptions,
    runtime: RuntimeOptions,
    sampling: SamplingOptions,
    answer: AnswerOptions,
    output: OutputOptions,
    terminal: TerminalOptions,
) -> None:
    """Show stored answers, decide them again with other settings, or let one go on otherwise.

    Only the last of these loads models.
    """
    from blendin_local.cli.common.screen import open_consoles  # noqa: PLC0415 - `--help` must not wait for these

    given = given_options(context)
    from blendin_local.cli.replay.files import file_to_read  # noqa: PLC0415 - nor for the jobs

    path = file_to_read(file, example=example)
    if fork is None:
        _refuse_options_of_fork(context, given)
        consoles = open_consoles(terminal, models.models_file)
        if example:
            print_note(consoles.err, EXAMPLE)
        show_replay(path, blend, consoles, only=only, as_json=output.json, html=output.html)
        return
    from blendin_local.cli.replay.fork import Fork, fork_answer  # noqa: PLC0415 - it imports llama.cpp

    consoles = open_consoles(terminal, models.models_file)
    consoles.err.quiet = output.quiet
    options = SessionOptions(models, runtime, blend, sampling, answer)
    fork_answer(Fork(path, only, fork, candidate), options, output, consoles, given)


def show_replay(
    file: Path,
    blend: BlendOptions,
    consoles: Consoles,
    *,
    only: str | None = None,
    as_json: bool = False,
    html: Path | None = None,
) -> None:
    """Decide the answers of a file again, and print them, or what other settings would have done.

    Args:
        file: A file with stored answers.
        blend: The settings to decide with.
        consoles: The terminal.
        only: The id of the answer to decide; None for all.
        as_json: Whether to print one JSON object.
        html: Where to write a page of the answers as they were recorded; None writes none.

    Raises:
        UsageError: The file cannot be read, or an answer cannot be decided with these settings.
        WriteError: The page cannot be written.
    """
    from blendin_local.cli.replay.files import refuse_to_overwrite, write_page  # noqa: PLC0415
    from blendin_local.jobs.replay.job import ReplaySpec, run_replay  # noqa: PLC0415
    from blendin_local.views.replay import recorded_view, replay_view, replays_view  # noqa: PLC0415
    from blendin_local.views.theme import mark_kind  # noqa: PLC0415

    refuse_to_overwrite(file, [html])
    report = run_replay(ReplaySpec(file, blend.settings(), only), on_note=partial(print_note, consoles.err))
    if html is not None and not report.as_recorded:
        raise UsageError("--html shows answers as they were recorded", "leave the other settings out")
    if html is not None:
        write_page(html, [one.stored for one in report.answers])
    if as_json:
        print_json(report.to_json())
    elif report.as_recorded:
        consoles.out.print(recorded_view(report, mark_kind(consoles.out), consoles.out.width))
    else:
        consoles.out.print(
            replay_view(report.answers[0]) if len(report.answers) == 1 else replays_view(report)
        )


def _refuse_options_of_fork(context: typer.Context, given: Collection[str]) -> None:
    """Raise `UsageError` for options that only hold for an answer that goes on."""
    groups: tuple[Any, ...] = (BlendOptions, TerminalOptions)
    allowed = PLAIN | {each.name for group in groups for each in fields(group)}
    for parameter in context.command.params:
        if parameter.name in set(given) - allowed:
            raise UsageError(
                f"{parameter.opts[0]} is for an answer that goes on, and replay only decides again",
                "add --fork N, the step to go on from",
            )
