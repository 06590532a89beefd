"""What can happen to the standard streams.

Here: `close_stdout`, for a reader that went away; `lasting_stderr`, which outlives its reader;
`open_missing`, for a program that is started without some of them.
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


def open_missing() -> None:
    """Give streams that were closed at the start to the null device, so that no file gets their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def lasting_stderr() -> TextIO:
    """Stderr for a program that runs all night: left by its reader, it swallows what is written."""
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
