"""The standard streams when they are closed, full or limited to a poor encoding.

Here: `close_stdout`, when its reader is gone; `forgive_encodings`, for locales without UTF-8;
`lasting_stderr`, which ignores write errors; `open_missing`, for a program started without some of the
streams; `write_utf8`.
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
    """Send stdout to the null device once it has no reader or is full, so that the flush at exit works."""
    with suppress(OSError):  # a stream without a file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def naming_stdout() -> Iterator[None]:
    """Add the name of stdout to an error of a write within the block: the system gives none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or STDOUT
        raise


def write_utf8(stream: IO[str], text: str) -> None:
    """Write text to a pipe or file as UTF-8, in any locale, and flush it."""
    raw = getattr(stream, "buffer", None)
    if raw is None:
        stream.write(text)
    else:
        stream.flush()
        raw.write(text.encode("utf-8", "surrogateescape"))
        raw.flush()
    stream.flush()


def open_missing() -> None:
    """Open streams that were closed at the start as the null device: no file may get their descriptor."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, which is this one
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def forgive_encodings() -> None:
    """Replace characters that the locale's encoding lacks: by `?` on stdout, by an escape on stderr."""
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def lasting_stderr() -> TextIO:
    """Stderr that raises no error: once its reader is gone or it is full, what is written is dropped."""
    if not isinstance(sys.stderr, io.TextIOWrapper):
        return sys.stderr
    return _LastingStream(sys.stderr)


class _LastingStream(io.TextIOBase, TextIO):
    """Passes text on until a write fails; then drops it."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        stream.reconfigure(errors="replace")
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The file descriptor of the stream."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write the text if possible."""
        try:
            self._stream.write(text)
        except OSError:
            self._give_up()
        return len(text)

    def flush(self) -> None:
        """Flush if possible."""
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        """Drop everything from now on, including what Python flushes at exit."""
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
