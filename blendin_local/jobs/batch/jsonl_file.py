"""JSON Lines files on disk: read back, replaced as a whole, and appended to without losing a line.

Here: `AppendOnlyFile`, which one process alone appends to; `read_back`, `encode`, `replace_file`,
`cannot_write`.
Not here: what the lines say (`formats`), which rows they stand for (`progress`).
The lock is on the file itself, so it holds whatever the file is called and whatever else is removed. Lines
are appended, never written at an offset: a file that is truncated meanwhile gets no hole. Each line is one
write and one fsync, so a crash leaves at most one incomplete line, the last. Before each line the path must
still lead to the file, and the file must be as it was written; at the end all its bytes are compared.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blendin_local.errors import UsageError, WriteError
from blendin_local.files import (
    is_same_file,
    open_private_fd,
    retry_open,
    sync_directory,
    try_lock,
    write_all,
    write_atomic,
)

if TYPE_CHECKING:
    from hashlib import _Hash

FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
ATTEMPTS = 20  # at a file that is replaced between opening and locking it
CHUNK = 2**20


def encode(record: Mapping[str, Any]) -> bytes:
    """One line of JSON."""
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def cannot_write(path: Path, error: OSError) -> WriteError:
    """What to say where the disk refuses."""
    return WriteError(
        f"{path} cannot be written: {error.strerror or error}",
        "every finished row is kept: make room, then run the same command again",
    )


@dataclass
class Content:
    """The bytes of a file of lines.

    Attributes:
        whole: Bytes of whole lines.
        torn: Bytes after the last line end: what a crash left of a line.
        digest: Of the whole lines.
    """

    whole: int = 0
    torn: int = 0
    digest: _Hash = field(default_factory=hashlib.sha256)


def read_back(path: Path, take: Callable[[Mapping[str, Any]], None]) -> Content:
    """Read the lines of an earlier run.

    Args:
        path: The file; it may be absent.
        take: Is given each line's record; raises LookupError, TypeError, ValueError, AttributeError or
            ArithmeticError for one it cannot use.

    Returns:
        What it holds. Only bytes without a line end are torn: a whole line that cannot be used was written by
        somebody else, or edited.

    Raises:
        UsageError: A line is not one of a batch, or the file cannot be read.
    """
    content = Content()
    try:
        file = retry_open(lambda: path.open("rb"))
    except FileNotFoundError:
        return content
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", "check the path") from error
    with file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                content.torn = len(line)
                break
            if not _usable(line, take):
                raise UsageError(
                    f"line {number} of {path} was not written by blendin batch, or was edited",
                    "take it out (its row is asked again), choose another -o, or begin anew with --restart",
                )
            content.whole += len(line)
            content.digest.update(line)
    return content


def _usable(line: bytes, take: Callable[[Mapping[str, Any]], None]) -> bool:
    try:
        take(json.loads(line))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, ArithmeticError):
        return False
    return True


def replace_file(path: Path, chunks: Iterable[bytes], *, one_writer: bool = False) -> None:
    """Write a private file so that a reader finds the old or the new one, whatever happens.

    Args:
        path: The file.
        chunks: What it will hold.
        one_writer: Whether a lock keeps other writers away (`files.write_atomic`).

    Raises:
        WriteError: The disk is full or broken; the old file is there.
    """
    try:
        write_atomic(path, chunks, one_writer=one_writer)
    except OSError as error:
        raise cannot_write(path, error) from error


class AppendOnlyFile:
    """A file of JSON lines that is appended to. Made by `locked`; `read` it before the first `append`.

    Args:
        path: The file.

    Attributes:
        torn: Bytes of a torn last line that were cut off, or would be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = 0
        self._fd = -1
        self._made = False
        self._kept = Content()
        self._time: int | None = None  # of the last change that is known to be ours

    @classmethod
    @contextmanager
    def locked(cls, path: Path, *, make: bool = True) -> Iterator[AppendOnlyFile]:
        """A file that nobody else of this program can write to.

        Args:
            path: The file.
            make: Whether to make it now, else with its first line. It is removed again where none came.

        Raises:
            UsageError: Another process is writing it.
            WriteError: It cannot be opened or locked.
        """
        file = cls(path)
        try:
            if make or file._is_there():
                file._hold()
            yield file
        finally:
            file._close()

    @property
    def is_open(self) -> bool:
        """Whether the file is there, and held."""
        return self._fd >= 0

    def _is_there(self) -> bool:
        try:
            return self.path.exists()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _hold(self) -> None:
        try:
            for _ in range(ATTEMPTS):
                made = not self.path.exists()
                fd = open_private_fd(self.path, FLAGS)
                if self._locked(fd):
                    self._fd, self._made = fd, made
                    sync_directory(self.path)
                    return
        except OSError as error:
            raise cannot_write(self.path, error) from error
        raise UsageError(
            f"{self.path} is replaced again and again", "end what does that, or choose another -o"
        )

    def _locked(self, fd: int) -> bool:
        """Lock it; False, and closed, where the path leads to another file by now."""
        try:
            if not try_lock(fd):
                raise UsageError(
                    f"another blendin batch is writing {self.path}", "wait for it, or choose another -o"
                )
            if is_same_file(fd, self.path):
                return True
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return False

    def read(self, take: Callable[[Mapping[str, Any]], None]) -> None:
        """Read the lines of earlier runs; a torn last line is cut off.

        Args:
            take: As for `read_back`.

        Raises:
            UsageError: A line is not one of a batch.
            WriteError: The disk refuses, or the file changed meanwhile.
        """
        self._kept = read_back(self.path, take)
        self.torn = self._kept.torn
        if self._fd < 0:
            return
        try:
            self._require_place(self._kept.whole + self.torn)
            if self.torn:
                os.ftruncate(self._fd, self._kept.whole)
                os.fsync(self._fd)
            self._time = os.fstat(self._fd).st_mtime_ns
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def append(self, record: Mapping[str, Any]) -> None:
        """Put a line onto the disk; when this returns, it is there.

        Raises:
            WriteError: The disk is full or broken, and the file ends with its last whole line; or the file
                was removed, renamed, replaced, cut or edited meanwhile.
        """
        data = encode(record)
        if self._fd < 0:
            self._hold()
        try:
            self._require_untouched()
            write_all(self._fd, data)
            os.fsync(self._fd)
        except OSError as error:
            self._take_back()
            raise cannot_write(self.path, error) from error
        self._kept.whole += len(data)
        self._kept.digest.update(data)
        self._time = None
        with suppress(OSError):  # else the bytes are compared before the next line
            self._time = os.fstat(self._fd).st_mtime_ns

    def verify(self) -> None:
        """Raise `WriteError` unless the path leads to a file of exactly what was read and written."""
        if self._fd < 0:
            return
        try:
            self._time = None
            self._require_untouched()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _require_place(self, size: int) -> None:
        """Raise `WriteError` unless the path leads to our file, of this size."""
        if not is_same_file(self._fd, self.path):
            there = os.path.lexists(self.path)
            raise self._meddled("is another file now" if there else "was removed or renamed")
        found = os.fstat(self._fd).st_size
        if found != size:
            kind = "was cut" if found < size else "was written to by something else"
            raise self._meddled(f"{kind} ({found:,} bytes instead of {size:,})")

    def _require_untouched(self) -> None:
        self._require_place(self._kept.whole)
        changed = os.fstat(self._fd).st_mtime_ns
        if changed == self._time:
            return
        if self._digest() != self._kept.digest.digest():
            raise self._meddled("was edited")
        self._time = changed

    def _digest(self) -> bytes:
        digest = hashlib.sha256()
        os.lseek(self._fd, 0, os.SEEK_SET)  # which is nothing to a file that is appended to
        while chunk := os.read(self._fd, CHUNK):
            digest.update(chunk)
        return digest.digest()

    def _meddled(self, what: str) -> WriteError:
        return WriteError(
            f"{self.path} {what} while it was being written",
            "put back what belongs there, then run the same command again: it asks only for rows not in it",
        )

    def _take_back(self) -> None:
        """After a failed write: end with the last whole line, as far as the disk lets us."""
        with suppress(OSError):
            if os.fstat(self._fd).st_size > self._kept.whole:  # never make it longer: that would be a hole
                os.ftruncate(self._fd, self._kept.whole)

    def drop(self) -> None:
        """Remove the file while nobody else can write it.

        Raises:
            OSError: The disk refuses.
        """
        if self._fd >= 0 and os.name == "nt":
            os.ftruncate(self._fd, 0)  # an open file cannot be removed there
        else:
            self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd < 0:
            return
        with suppress(OSError):
            if self._made and not os.fstat(self._fd).st_size and is_same_file(self._fd, self.path):
                self.path.unlink()
        os.close(self._fd)
        self._fd = -1
