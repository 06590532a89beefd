"""`blendin chat`: the command; the conversation itself is `cli.chat.loop`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Annotated

import typer

from blendin_local.cli.common.grouped import grouped
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

_conversation = partial(typer.Option, rich_help_panel="Conversation")


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command("chat")(grouped(chat))


def chat(
    *,
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
    from blendin_local.cli.chat import continuing  # noqa: PLC0415 - `--help` must not wait for these
    from blendin_local.cli.chat.loop import chat as run_chat  # noqa: PLC0415
    from blendin_local.cli.chat.state import ChatSettings, ChatStart  # noqa: PLC0415
    from blendin_local.cli.common.history import keeps_history, open_writer  # noqa: PLC0415
    from blendin_local.cli.common.interrupt import stop_on_interrupt  # noqa: PLC0415
    from blendin_local.cli.common.screen import open_consoles  # noqa: PLC0415
    from blendin_local.cli.common.session import open_session  # noqa: PLC0415

    answer = answer.with_default(top_logprobs=SHOWN_CANDIDATES)  # `/why` shows them
    consoles = open_consoles(terminal, models.models_file)
    options = SessionOptions(models, runtime, blend, sampling, answer)
    given = continuing.given_options(context)
    earlier = continuing.find_conversation(number) if again or number is not None else None
    if earlier is not None:
        options = continuing.continued_options(options, earlier, given)
    keeps = keeps_history(history, options.models.models_file)
    with ExitStack() as stack:
        with stop_on_interrupt() as interrupt:  # while the models load; the chat has its own rules
            opening = open_session(options, consoles.err, lambda: interrupt.requested, every_model=True)
            session = stack.enter_context(opening)
        resolved = session.resolved
        settings = ChatSettings(resolved.blend, resolved.sampling, session.answer, consoles.settings)
        start = ChatStart(resolved.system, settings, session.methods, keep_lines=keeps)
        writer = open_writer("chat", options, resolved, consoles.err) if keeps else None
        if earlier is not None:
            start = continuing.continued_start(start, options, earlier, given)
            continuing.show_earlier(earlier, consoles)
            if writer is not None:
                writer.resume(earlier)
        run_chat(session.pair, start, consoles.out, consoles.err, writer=writer)
