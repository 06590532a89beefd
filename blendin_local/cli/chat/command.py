"""`blendin chat`: the command; the conversation itself is `cli.chat.loop`."""

from __future__ import annotations

from contextlib import ExitStack

import typer

from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.help import Example
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
from blendin_local.cli.common.verb import add_verb


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
    *,
    models: ModelOptions,
    runtime: RuntimeOptions,
    blend: BlendOptions,
    sampling: SamplingOptions,
    answer: AnswerOptions,
    terminal: TerminalOptions,
) -> None:
    """Chat with a pair. Type /help for the commands."""
    from blendin_local.cli.chat.loop import chat as run_chat  # noqa: PLC0415 - `--help` must not wait for these
    from blendin_local.cli.chat.state import ChatSettings, ChatStart  # noqa: PLC0415
    from blendin_local.cli.common.interrupt import stop_on_interrupt  # noqa: PLC0415
    from blendin_local.cli.common.screen import open_consoles  # noqa: PLC0415
    from blendin_local.cli.common.session import open_session  # noqa: PLC0415

    answer = answer.with_default(top_logprobs=SHOWN_CANDIDATES)  # `/why` shows them
    consoles = open_consoles(terminal, models.models_file)
    options = SessionOptions(models, runtime, blend, sampling, answer)
    with ExitStack() as stack:
        with stop_on_interrupt() as interrupt:  # while the models load; the chat has its own rules
            opening = open_session(options, consoles.err, lambda: interrupt.requested, every_model=True)
            session = stack.enter_context(opening)
        resolved = session.resolved
        settings = ChatSettings(resolved.blend, resolved.sampling, session.answer, consoles.settings)
        run_chat(
            session.pair,
            ChatStart(resolved.system, settings, session.methods),
            consoles.out,
            consoles.err,
        )
