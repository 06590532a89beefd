"""`blendin chat`: read, answer, repeat.

Here: the loop. A failure of one turn is one line, and the chat goes on.
Not here: answering (`ui.chat_answer`), input (`ui.chat_input`), commands (`ui.chat_commands`).
"""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from blendin_local.errors import BlendinError
from blendin_local.ui.chat_answer import Chat
from blendin_local.ui.chat_commands import completions, run_command
from blendin_local.ui.chat_input import PlainReader, Reader, TerminalReader
from blendin_local.ui.chat_state import ChatStart, Conversing
from blendin_local.ui.views import error_line


def chat(
    pair: Conversing, start: ChatStart, out: Console, err: Console, reader: Reader | None = None
) -> None:
    """Talk until the input ends or the user leaves.

    Args:
        pair: Who answers.
        start: System text and settings.
        out: Where answers go, and nothing else.
        err: Where everything else goes.
        reader: Where messages come from; by default stdin, with an editable line if it is a terminal.

    Raises:
        BlendinError: From a pipe, at the first thing that is wrong. At a terminal it is shown instead.
        KeyboardInterrupt: From a pipe, at Ctrl-C.
    """
    talk = Chat(pair, start, out, err)
    reader = reader or _reader(out, err)
    if reader.interactive:
        err.print(_welcome(marks=not err.is_dumb_terminal))
    while not talk.leaving:
        try:
            line = reader.read()
        except KeyboardInterrupt:
            if not reader.interactive:
                raise
            talk.notice("Ctrl-D or /exit leaves.")
            continue
        if line is None:
            break
        _take(talk, line, interactive=reader.interactive)


def _take(talk: Chat, line: str, *, interactive: bool) -> None:
    try:
        take_line(talk, line)
    except (BlendinError, KeyboardInterrupt) as error:
        if not interactive:
            raise
        if isinstance(error, BlendinError):
            talk.err.print(error_line(error))
        return
    if talk.stopped and not interactive:
        raise KeyboardInterrupt


def take_line(talk: Chat, line: str) -> None:
    """Carry out a command, or answer a message; an empty line is neither."""
    if line.startswith("/") and not line.startswith("//"):
        run_command(talk, line)
    elif line.strip():
        talk.ask(line[1:] if line.startswith("//") else line)


def _reader(out: Console, err: Console) -> Reader:
    if not sys.stdin.isatty():
        return PlainReader(sys.stdin)
    if err.is_dumb_terminal:
        return PlainReader(sys.stdin, err.file)
    return TerminalReader(completions(), color=not out.no_color)


def _welcome(*, marks: bool) -> Text:
    """What the marks mean, where they can be shown, and the three keys worth knowing."""
    legend = Text.assemble(
        ("changed", "source.changed"),
        " the guide decided · ",
        ("kept", "source.kept"),
        " it was asked, the base's choice stayed\n",
    )
    keys = Text("/help lists commands, Ctrl-C stops an answer, Ctrl-D leaves.", style="hint")
    return legend.append_text(keys) if marks else keys
