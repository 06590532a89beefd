"""`blendin chat`: the command; the conversation itself is `cli.chat.loop`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from blendin_local.cli.common.status import StatusLine
    from blendin_local.views.theme import Consoles


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command("chat")(grouped(chat))


def chat(
    *,
    models: ModelOptions,
    runtime: RuntimeOptions,
    blend: BlendOptions,
    sampling: SamplingOptions,
    answer: AnswerOptions,
    terminal: TerminalOptions,
) -> None:
    """Chat with a pair. Type /help for the commands."""
    from blendin_local.cli.common.keyboard import quiet_keyboard  # noqa: PLC0415 - `--help` must not wait for these
    from blendin_local.cli.common.screen import open_consoles  # noqa: PLC0415
    from blendin_local.cli.common.status import FIRST_DELAY_S, status_line  # noqa: PLC0415

    answer = answer.with_default(top_logprobs=SHOWN_CANDIDATES)  # `/why` shows them
    consoles = open_consoles(terminal, models.models_file)
    options = SessionOptions(models, runtime, blend, sampling, answer)
    with (
        quiet_keyboard(lines=consoles.err.is_dumb_terminal) if sys.stdin.isatty() else nullcontext(),
        status_line(consoles.err, FIRST_DELAY_S) as status,
    ):
        status.show("starting")
        converse(options, consoles, status)


def converse(options: SessionOptions, consoles: Consoles, status: StatusLine) -> None:
    """Open the pair and chat."""
    from blendin_local.cli.chat.loop import chat as run_chat  # noqa: PLC0415 - these import numpy and llama.cpp
    from blendin_local.cli.chat.state import ChatSettings, ChatStart  # noqa: PLC0415
    from blendin_local.cli.common.interrupt import stop_on_interrupt  # noqa: PLC0415
    from blendin_local.cli.common.session import open_session  # noqa: PLC0415

    with ExitStack() as stack:
        with stop_on_interrupt() as interrupt:  # while the models load; the chat has its own rules
            opening = open_session(options, status, lambda: interrupt.requested, every_model=True)
            session = stack.enter_context(opening)
            status.clear()
        resolved = session.resolved
        settings = ChatSettings(resolved.blend, resolved.sampling, session.answer, consoles.settings)
        run_chat(
            session.pair,
            ChatStart(resolved.system, settings, session.methods),
            consoles.out,
            consoles.err,
        )
