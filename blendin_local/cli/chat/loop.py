"""`blendin chat`: read, answer, repeat.

Here: the loop. A failure of one turn, expected or not, prints one line, and the chat continues.
Not here: answering (`cli.chat.answer`), input (`cli.chat.reader`), commands (`cli.chat.commands`).
"""

from __future__ import annotations

import io
import os
import sys
import traceback

from rich.console import Console
from rich.text import Text

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.commands import COMMANDS, run_command
from blendin_local.cli.chat.completion import ChatCompleter
from blendin_local.cli.chat.first_message import AfterFirst
from blendin_local.cli.chat.log import ChatLog
from blendin_local.cli.chat.reader import PlainReader, Reader, TerminalReader
from blendin_local.cli.chat.state import ChatPair, ChatStart
from blendin_local.cli.common.failures import as_error
from blendin_local.cli.common.values import without_surrogates
from blendin_local.errors import UnforeseenError
from blendin_local.history.writer import HistoryWriter
from blendin_local.views.answer import counted, error_line
from blendin_local.views.form import has_form
from blendin_local.views.legend import legend
from blendin_local.views.theme import MarkKind, mark_kind

MAX_READ_FAILURES = 5  # in a row; then the input is taken to be closed


def chat(
    pair: ChatPair,
    start: ChatStart,
    out: Console,
    err: Console,
    reader: Reader | None = None,
    *,
    writer: HistoryWriter | None = None,
) -> None:
    """ChatHistory until the input ends or the user leaves.

    Args:
        pair: Who answers.
        start: System text and settings.
        out: Where answers go, and nothing else.
        err: Where everything else goes.
        reader: Where messages come from; by default stdin, with an editable line if it is a terminal.
        writer: What keeps the conversation in the history; None keeps nothing.

    Raises:
        Exception: From a pipe, at the first thing that is wrong. At a terminal it is shown instead.
        KeyboardInterrupt: From a pipe, at Ctrl-C.
    """
    running = Chat(pair, start, out, err)
    reader = _greet(running, start, reader or _reader(running, keep_lines=start.keep_lines))
    log = ChatLog(writer, running.history)
    failures = 0
    while not running.leaving and failures < MAX_READ_FAILURES:
        failures += 1
        try:
            line = reader.read()
        except KeyboardInterrupt:
            if not reader.interactive:
                raise
            running.notice("Ctrl-D or /exit leaves.")
        except Exception as error:
            if not reader.interactive:
                raise
            _report(running, error)
            continue
        else:
            if line is None:
                break
            try:
                _handle(running, line, interactive=reader.interactive)
            finally:
                log.keep(running.history)
        failures = 0


def _handle(chat: Chat, line: str, *, interactive: bool) -> None:
    try:
        handle_line(chat, line)
    except KeyboardInterrupt:
        if not interactive:
            raise
        return
    except Exception as error:  # at a terminal nothing ends a conversation
        if not interactive:
            raise
        _report(chat, error)
        return
    if chat.stopped and not interactive:
        raise KeyboardInterrupt


def _report(chat: Chat, error: Exception) -> None:
    """Say in one line what went wrong; a bug also shows its place where BLENDIN_DEBUG asks for it."""
    failure = as_error(error)
    chat.err.print(error_line(failure))
    if isinstance(failure, UnforeseenError) and os.environ.get("BLENDIN_DEBUG"):
        chat.err.out("".join(traceback.format_exception(error)))


def handle_line(chat: Chat, line: str) -> None:
    """Carry out a command, or answer a message; an empty line is neither."""
    if line.startswith("/") and not line.startswith("//"):
        run_command(chat, line)
    elif line.strip():
        chat.ask(without_surrogates(line[1:] if line.startswith("//") else line, "the message"))


def _greet(chat: Chat, start: ChatStart, reader: Reader) -> Reader:
    """Say what is worth knowing at the beginning; the reader gives the first message first."""
    if reader.interactive:
        shows_form = has_form(vars(start.settings.answer))
        chat.err.print(_welcome(mark_kind(chat.out), chat.err.width, shows_form=shows_form))
    if start.message:
        return AfterFirst(start.message, reader, chat.err)
    if start.files:
        chat.notice(f"{counted(len(start.files), 'character')} of files go with the first message.")
    return reader


def _reader(chat: Chat, *, keep_lines: bool) -> Reader:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a line that is not UTF-8 is refused, not the rest
    if not sys.stdin.isatty():
        return PlainReader(sys.stdin)
    if chat.err.is_dumb_terminal:
        return PlainReader(sys.stdin, chat.err.file)
    return TerminalReader(ChatCompleter(chat, COMMANDS), color=not chat.out.no_color, keep_lines=keep_lines)


def _welcome(marks: MarkKind, width: int, *, shows_form: bool) -> Text:
    """What the marks mean, and the three keys worth knowing."""
    keys = Text("/help lists commands, Ctrl-C stops an answer, Ctrl-D leaves.", style="hint")
    return Text("\n").join([legend("source", marks, width, has_form=shows_form), keys])
