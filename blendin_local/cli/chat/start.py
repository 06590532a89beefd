"""From the options of `blendin chat` to the conversation: with models that are loaded here, or with a server.

Here: `Beginning`, and `start_chat`.
Not here: the command (`cli.chat.command`), the conversation (`cli.chat.loop`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from blendin_local.cli.chat import continuing
from blendin_local.cli.chat.first_message import message_of, texts_of
from blendin_local.cli.chat.loop import chat
from blendin_local.cli.chat.state import ChatPair, ChatSettings, ChatStart
from blendin_local.cli.common.find_server import ChosenServer, choose_server, note_refusal, note_use
from blendin_local.cli.common.given import given_options
from blendin_local.cli.common.history import keeps_history, open_writer, opening_of
from blendin_local.cli.common.options import HistoryOptions, RemoteOptions, SessionOptions
from blendin_local.cli.common.status import StatusLine
from blendin_local.errors import BlendinError
from blendin_local.history.records import Conversation, Opening
from blendin_local.views.theme import Consoles


@dataclass(frozen=True)
class Beginning:
    """What the command line says of a chat.

    Attributes:
        first: What it begins with, without settings.
        options: The pair, and the settings that were given.
        given: The names of options that stand on the command line.
        earlier: The conversation that is continued; None for a new one.
        keeps: Whether it is kept in the history.
        consoles: Where it is held.
    """

    first: ChatStart
    options: SessionOptions
    given: Collection[str]
    earlier: Conversation | None
    keeps: bool
    consoles: Consoles

    def talk(self, pair: ChatPair, start: ChatStart, opening: Opening) -> None:
        """Hold the conversation, from the earlier one on if there is one."""
        consoles = self.consoles
        writer = open_writer(opening, consoles.err) if self.keeps else None
        if self.earlier is not None:
            start = continuing.continued_start(start, self.options, self.earlier, self.given)
            continuing.show_earlier(self.earlier, consoles)
            if writer is not None:
                writer.resume(self.earlier)
        chat(pair, start, consoles.out, consoles.err, writer=writer)


def start_chat(
    texts: tuple[Sequence[str], Sequence[Path]],
    options: SessionOptions,
    consoles: Consoles,
    status: StatusLine,
    *,
    remote: RemoteOptions,
    earlier: tuple[bool, int | None, typer.Context],
    history: HistoryOptions,
) -> None:
    """Open the pair, or ask a server for it, and chat.

    Args:
        texts: The first message as it was given, and the files that go with it.
        options: The pair, and the settings of answers.
        consoles: Where the chat is held.
        status: Shows what is loaded.
        remote: The options about a server.
        earlier: Whether a conversation is continued, the number that it was given, and the command line.
        history: The options about the history.
    """
    continues, number, context = earlier
    given = given_options(context)
    conversation = continuing.find_conversation(number) if continues else None
    if conversation is not None and not remote.server:
        options = continuing.continued_options(options, conversation, given)
    keeps = keeps_history(history, options.models.models_file)
    terminal = ChatSettings(terminal=consoles.settings)
    message, files = message_of(texts[0]), texts_of(texts[1])
    first = ChatStart(settings=terminal, message=message, files=files, keep_lines=keeps)
    beginning = Beginning(first, options, given, conversation, keeps, consoles)
    chosen = choose_server(remote, options)
    if chosen is None or not _chatted(chosen, beginning, status):
        _chat_here(beginning, status)


def _chatted(chosen: ChosenServer, beginning: Beginning, status: StatusLine) -> bool:
    """Chat with a server; False if it was found rather than named, and does not do."""
    from blendin_local.cli.chat.remote import open_remote_pair, remote_start  # noqa: PLC0415 - not without one

    err = beginning.consoles.err
    try:
        pair = open_remote_pair(chosen, beginning.options)
        start = remote_start(beginning.first, pair, beginning.options)
    except BlendinError as error:
        if not chosen.found:
            raise
        note_refusal(chosen, error, err)
        return False
    status.clear()
    if chosen.found:
        note_use(chosen, err)
    beginning.talk(pair, start, pair.opening)
    return True


def _chat_here(beginning: Beginning, status: StatusLine) -> None:
    from blendin_local.cli.chat.opening import OpenedPair  # noqa: PLC0415 - it imports llama.cpp

    options, first = beginning.options, beginning.first
    with OpenedPair(options, status) as opened:
        session = opened.session
        resolved = session.resolved
        settings = ChatSettings(resolved.blend, resolved.sampling, session.answer, first.settings.terminal)
        start = ChatStart(
            resolved.system,
            settings,
            session.methods,
            first.message,
            first.files,
            opened,
            keep_lines=first.keep_lines,
        )
        beginning.talk(session.pair, start, opening_of("chat", options, resolved))
