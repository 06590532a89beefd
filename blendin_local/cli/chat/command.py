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
    terminal: TerminalOptions,
    history: HistoryOptions,
) -> None:
    """Chat with a pair. Type /help for the commands."""
    from blendin_local.cli.common.screen import open_consoles  # noqa: PLC0415 - `--help` must not wait for these
    from blendin_local.cli.common.status import starting  # noqa: PLC0415

    consoles = open_consoles(terminal, models.models_file)
    with starting(consoles.err, answers_keys=True) as status:
        from blendin_local.cli.chat import continuing  # noqa: PLC0415 - these import numpy and llama.cpp
        from blendin_local.cli.chat.first_message import message_of, texts_of  # noqa: PLC0415
        from blendin_local.cli.chat.loop import chat as run_chat  # noqa: PLC0415
        from blendin_local.cli.chat.opening import OpenedPair  # noqa: PLC0415
        from blendin_local.cli.chat.state import ChatSettings, ChatStart  # noqa: PLC0415
        from blendin_local.cli.common.history import keeps_history, open_writer, opening_of  # noqa: PLC0415

        first, files = message_of(message or ()), texts_of(file or ())
        answer = answer.with_default(top_logprobs=SHOWN_CANDIDATES)  # `/why` shows them
        options = SessionOptions(models, runtime, blend, sampling, answer)
        given = continuing.given_options(context)
        earlier = continuing.find_conversation(number) if again or number is not None else None
        if earlier is not None:
            options = continuing.continued_options(options, earlier, given)
        keeps = keeps_history(history, options.models.models_file)
        with OpenedPair(options, status) as opened:
            session = opened.session
            resolved = session.resolved
            settings = ChatSettings(resolved.blend, resolved.sampling, session.answer, consoles.settings)
            start = ChatStart(
                resolved.system, settings, session.methods, first, files, opened, keep_lines=keeps
            )
            writer = open_writer(opening_of("chat", options, resolved), consoles.err) if keeps else None
            if earlier is not None:
                start = continuing.continued_start(start, options, earlier, given)
                continuing.show_earlier(earlier, consoles)
                if writer is not None:
                    writer.resume(earlier)
            run_chat(session.pair, start, consoles.out, consoles.err, writer=writer)
