"""What a chat begins with from the command line: files, and a first message.

Here: `texts_of`, the files; `message_of`; and `AfterFirst`, a reader that gives the message first.
Not here: other input (`cli.chat.reader`), the options (`cli.chat.command`).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from blendin_local.cli.chat.reader import Reader
from blendin_local.cli.common.values import read_text, without_surrogates
from blendin_local.errors import UsageError
from blendin_local.views.visible import escape_controls


def texts_of(paths: Sequence[Path]) -> str:
    """The texts of files in their order, with a blank line between them.

    Raises:
        UsageError: One cannot be read, or is not UTF-8.
    """
    texts = (read_text(path) for path in paths)
    return "\n\n".join(text.rstrip("\n") for text in texts if text and text.strip())


def message_of(arguments: Sequence[str]) -> str:
    """The first message, empty if none was given.

    Raises:
        UsageError: It is the name of a file, which was surely not meant to be asked; it is not quoted; or it
            is no text.
    """
    files = [argument for argument in arguments if _is_file(argument)]
    if files:
        options = " ".join(f"-f {shlex.quote(name)}" for name in files)
        raise UsageError(
            f"{escape_controls(files[0])} is a file", f"put it into the conversation with {options}"
        )
    if len(arguments) > 1:
        raise UsageError("the first message is more than one argument", "put it in quotation marks")
    return without_surrogates(arguments[0], "the message") if arguments else ""


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long for a name, or with a null in it
        return False


class AfterFirst:
    """A reader that gives a message first, and then what another reads.

    Args:
        message: The message; never a command.
        reader: The other reader.
        err: Where the message is shown as if it had been typed, if the other reader is a terminal.
    """

    def __init__(self, message: str, reader: Reader, err: Console) -> None:
        self.interactive = reader.interactive
        self._message = message
        self._reader = reader
        self._err = err

    def read(self) -> str | None:
        """The message, then the other reader's next one."""
        message, self._message = self._message, ""
        if not message:
            return self._reader.read()
        if self.interactive:
            self._err.print(Text(f"> {escape_controls(message)}", style="prompt"), soft_wrap=True)
        return f"/{message}" if message.startswith("/") else message
