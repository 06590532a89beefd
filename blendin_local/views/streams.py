"""What can happen to the standard streams.

Here: `close_stdout`, for a reader that went away; `forgive_encodings`, for a poor locale; `lasting_stderr`,
which outlives its reader; `open_missing`, for a program that is started without some of them; `write_utf8`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TextIO

STDOUT = "standard output"


def close_stdout() -> None:
    """Nobody reads stdout any more, or it is full: let Python flush it into nothing at exit."""
    with suppress(OSError):  # a stream without a number
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def naming_stdout() -> Iterator[None]:
    """A write that fails within the block says where: the system names no file for it."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or STDOUT
        raise


def write_utf8(stream: IO[str], text: str) -> None:
    """Write text to a pipe or file as UTF-8, whatever the locale, and flush it."""
    raw = getattr(stream, "buffer", None)
    if raw is None:
        stream.write(text)
    else:
        stream.flush()
        raw.write(text.encode("utf-8", "surrogateescape"))
        raw.flush()
    stream.flush()


def open_missing() -> None:
    """Give streams that were closed at the start to the null device, so that no file gets their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def forgive_encodings() -> None:
    """Write a character that the locale's encoding lacks as `?`, or spelled out on stderr; never an error."""
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def lasting_stderr() -> TextIO:
    """Stderr that ends nothing: left by its reader, or full, it swallows what is written."""
    if not isinstance(sys.stderr, io.TextIOWrapper):
        return sys.stderr
    return _Lasting(sys.stderr)


class _Lasting(io.TextIOBase, TextIO):
    """Passes text on, until that fails for the first time."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
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
