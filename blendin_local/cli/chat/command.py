"""`blendin chat`: the command; the conversation itself is `cli.chat.loop`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.options import (
    SHOWN_CANDIDATES,
    AnswerOptions,
    BlendOptions,
    HistoryOptions,
    ModelOptions,
    RemoteOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
    TerminalOptions,
)
from blendin_local.cli.common.verb import add_verb

_conversation = partial(typer.Option, rich_help_panel="Conversation")


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    add_verb(
        app,
        "chat",
        grouped(chat),
        Example("Talk to the demo pair", "blendin chat --pair demo"),
        Example(
            "Talk to two files of your own, with instructions",
            'blendin chat --base base.gguf --guide guide.gguf --system "Answer briefly."',
        ),
        Example("Talk to the pair of a running blendin serve", "blendin chat --server http://127.0.0.1:8080"),
        Example("Hear the base alone, without the guide", "blendin chat --pair demo --method base"),
    )


def chat(
    message: Annotated[
        list[str] | None, typer.Argument(help="The first message, in quotation marks.")
    ] = None,
    *,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", "-f", help="Put the text of this file before the first message; can be repeated."
        ),
    ] = None,
    context: typer.Context,
    again: Annotated[
        bool, _conversation("--continue", help="Go on with the last conversation, its pair and settings.")
    ] = False,
    number: Annotated[
        int | None,
        _conversation(
            "--conversation", metavar="ID", help="Go on with this conversation; blendin logs lists them."
        ),
    ] = None,
    models: ModelOptions,
    runtime: RuntimeOptions,
    blend: BlendOptions,
    sampling: SamplingOptions,
    answer: AnswerOptions,
    remote: RemoteOptions,
    terminal: TerminalOptions,
    history: HistoryOptions,
) -> None:
    """Chat with a pair. Type /help for the commands."""
    from blendin_local.cli.common.screen import open_consoles  # noqa: PLC0415 - `--help` must not wait for these
    from blendin_local.cli.common.status import starting  # noqa: PLC0415

    consoles = open_consoles(terminal, models.models_file)
    with starting(consoles.err, answers_keys=True) as status:
        from blendin_local.cli.chat.start import start_chat  # noqa: PLC0415 - it imports numpy

        answer = answer.with_default(top_logprobs=SHOWN_CANDIDATES)  # `/why` shows them
        options = SessionOptions(models, runtime, blend, sampling, answer)
        start_chat(
            (message or (), file or ()),
            options,
            consoles,
            status,
            remote=remote,
            earlier=(again or number is not None, number, context),
            history=history,
        )
