"""`blendin chat`: the command; the conversation itself is `cli.chat.loop`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.options import (
    SHOWN_CANDIDATES,
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
    TerminalOptions,
)


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command("chat")(grouped(chat))


def chat(
    message: Annotated[list[str] | None, typer.Argument(help="The first message, in quotation marks.")] = None,
    *,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", "-f", help="Put the text of this file before the first message; can be repeated."
        ),
    ] = None,
    models: ModelOptions,
    runtime: RuntimeOptions,
    blend: BlendOptions,
    sampling: SamplingOptions,
    answer: AnswerOptions,
    terminal: TerminalOptions,
) -> None:
    """Chat with a pair. Type /help for the commands."""
    from blendin_local.cli.chat.first_message import (  # noqa: PLC0415 - `--help` must not wait for these
        message_of,
        texts_of,
    )
    from blendin_local.cli.chat.loop import chat as run_chat  # noqa: PLC0415
    from blendin_local.cli.chat.opening import OpenedPair  # noqa: PLC0415
    from blendin_local.cli.chat.state import ChatSettings, ChatStart  # noqa: PLC0415
    from blendin_local.cli.common.screen import open_consoles  # noqa: PLC0415

    first, files = message_of(message or ()), texts_of(file or ())
    answer = answer.with_default(top_logprobs=SHOWN_CANDIDATES)  # `/why` shows them
    consoles = open_consoles(terminal, models.models_file)
    options = SessionOptions(models, runtime, blend, sampling, answer)
    with OpenedPair(options, consoles.err) as opened:
        session = opened.session
        resolved = session.resolved
        settings = ChatSettings(resolved.blend, resolved.sampling, session.answer, consoles.settings)
        start = ChatStart(resolved.system, settings, session.methods, first, files, opened)
        run_chat(session.pair, start, consoles.out, consoles.err)
