"""Where the messages of a chat come from: a terminal with an editable line, or a pipe.

Here: `TerminalReader` on prompt_toolkit (history, completion, paste, several lines), `PlainReader`, blocks.
Not here: what Tab offers (`cli.chat.completion`), what a message means (`cli.chat.loop`,
`cli.chat.commands`).
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from platformdirs import user_state_path
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.output import ColorDepth, create_output

from blendin_local.cli.common.keyboard import ordinary_keyboard
from blendin_local.errors import UsageError
from blendin_local.files import open_private_fd

PROMPT, CONTINUED = "> ", "… "
BLOCK = '"""'


class Reader(Protocol):
    """Gives one message or command after the other."""

    interactive: bool

    def read(self) -> str | None:
        """The next one, None at the end; KeyboardInterrupt where it was given up."""


class PlainReader:
    """Lines of a pipe, or of a terminal that understands no escapes.

    Args:
        stream: Where they come from.
        prompts: Where the user is prompted; None without a terminal.
    """

    def __init__(self, stream: IO[str], prompts: IO[str] | None = None) -> None:
        self._stream = stream
        self._prompts = prompts
        self.interactive = prompts is not None

    def read(self) -> str | None:
        """The next line or block; UsageError where it is not UTF-8."""
        try:
            return read_message(self._line)
        except KeyboardInterrupt:
            self._write("\n")
            raise

    def _line(self, prompt: str) -> str | None:
        typed_ahead = self.interactive and can_read(self._stream)  # a whole line, which was not shown
        self._write(prompt)
        try:
            with ordinary_keyboard():
                line = self._stream.readline()
        except UnicodeDecodeError as error:
            raise UsageError("stdin is not UTF-8 text", "convert it first, for example with iconv") from error
        if not line:
            self._write("\n")
            return None
        if typed_ahead:
            self._write(line)
        return line.rstrip("\r\n")

    def _write(self, text: str) -> None:
        if self._prompts is not None:
            self._prompts.write(text)
            self._prompts.flush()


def can_read(stream: IO[str]) -> bool:
    """Whether a stream has something to read already; on Windows nobody knows."""
    try:
        return bool(select.select([stream], [], [], 0)[0])
    except (OSError, ValueError):
        return False


class TerminalReader:
    """A line that can be edited, with history and completion.

    Args:
        completer: Completes the line.
        color: Whether colours may be used.
        keep_lines: Whether lines are kept for recall in the next chat.
    """

    interactive = True

    def __init__(self, completer: Completer, *, color: bool = True, keep_lines: bool = True) -> None:
        self._session: PromptSession[str] = PromptSession(
            history=open_history() if keep_lines else InMemoryHistory(),
            completer=completer,
            complete_while_typing=True,
            reserve_space_for_menu=4,
            enable_open_in_editor=True,
            multiline=True,
            enable_suspend=True,
            key_bindings=_keys(),
            prompt_continuation=_continuation,
            color_depth=None if color else ColorDepth.DEPTH_1_BIT,
            output=create_output(always_prefer_tty=True),
        )

    def read(self) -> str | None:
        """The next message or block; None at Ctrl-D, KeyboardInterrupt at Ctrl-C."""
        return read_message(self._line)

    def _line(self, prompt: str) -> str | None:
        try:
            return self._session.prompt([("bold", prompt)])
        except EOFError:
            return None


def read_message(read_line: Callable[[str], str | None]) -> str | None:
    '''Read a line, or everything between two `"""` as one message.

    A block is never a command: one that begins with a slash gets the second slash that escapes it.
    '''
    first = read_line(PROMPT)
    if first is None or not first.lstrip().startswith(BLOCK):
        return first
    text = first.lstrip().removeprefix(BLOCK)
    while not text.rstrip().endswith(BLOCK):
        more = read_line(CONTINUED)
        if more is None:
            break
        text = f"{text}\n{more}"
    text = text.rstrip().removesuffix(BLOCK).strip("\n")
    return f"/{text}" if text.startswith("/") else text


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _newline(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _continuation(width: int, line_number: int, wrap_count: int) -> StyleAndTextTuples:
    mark = "" if wrap_count else CONTINUED
    return [("", mark.ljust(width)[:width])]


class _BestEffortHistory(FileHistory):
    """Lines kept in a file if possible: a full disk or a lone surrogate does not end the chat."""

    def store_string(self, string: str) -> None:
        """Append a line; a byte that is no text becomes U+FFFD, to be corrected in the line brought back."""
        with suppress(OSError):
            super().store_string(re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", string))


def open_history() -> History:
    """Lines of earlier chats from the user's state folder; this chat's alone under BLENDIN_NO_HISTORY."""
    if os.environ.get("BLENDIN_NO_HISTORY"):
        return InMemoryHistory()
    try:
        path = Path(user_state_path("blendin-local", appauthor=False, ensure_exists=True)) / "chat_history"
        os.close(open_private_fd(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))  # a history is a conversation
        path.read_bytes()
    except OSError:
        return InMemoryHistory()
    return _BestEffortHistory(path)
