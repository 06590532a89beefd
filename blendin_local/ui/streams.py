"""What can happen to the standard streams.

Here: `close_stdout`, for a reader that went away; `lasting_stderr`, which outlives its reader.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO


def close_stdout() -> None:
    """Nobody reads stdout any more: let Python flush it into nothing at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def lasting_stderr() -> TextIO:
    """Stderr for a program that runs all night: closed or left by its reader, it swallows what is written."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the program runs
        return sys.stderr
    if not isinstance(sys.stderr, io.TextIOWrapper):
        return sys.stderr
    return _Lasting(sys.stderr)


class _Lasting(io.TextIOBase, TextIO):
    """Passes text on, until that fails for the first time."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        if stream.isatty():
            stream.reconfigure(errors="replace")
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether a person may be looking."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The stream's."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write it, if that can be."""
        try:
            self._stream.write(text)
        except OSError:
            self._give_up()
        return len(text)

    def flush(self) -> None:
        """Flush it, if that can be."""
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        """From now on into nothing, what Python flushes at exit included."""
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
