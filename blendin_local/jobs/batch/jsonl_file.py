"""JSON Lines files on disk: read back, replaced as a whole, and appended to without losing a line.

Here: `AppendOnlyFile`, which one process alone appends to; `read_back`, `encode`, `replace_file`,
`cannot_write`.
Not here: the content of the lines (`formats`), which rows they belong to (`progress`).
The lock is on the file itself, so it still holds if the file is renamed or other files are removed. Lines
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
ATTEMPTS = 20  # to lock a file that is replaced between opening and locking it
CHUNK = 2**20  # bytes


def encode(record: Mapping[str, Any]) -> bytes:
    """One line of JSON."""
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def cannot_write(path: Path, error: OSError) -> WriteError:
    """The error for a file that the system refuses to write."""
    return WriteError(
        f"{path} cannot be written: {error.strerror or error}",
        "every finished row is kept: free some space, then run the same command again",
    )


@dataclass
class Content:
    """What a JSON Lines file holds.

    Attributes:
        whole: Bytes of whole lines.
        torn: Bytes after the last newline: the part of a line that a crash left.
        digest: SHA-256 of the whole lines.
    """

    whole: int = 0
    torn: int = 0
    digest: _Hash = field(default_factory=hashlib.sha256)


def read_back(path: Path, on_line: Callable[[Mapping[str, Any]], None]) -> Content:
    """Read the lines of an earlier run.

    Args:
        path: The file; it may be absent.
        on_line: Called with each line's record; raises LookupError, TypeError, ValueError, AttributeError or
            ArithmeticError for one it cannot use.

    Returns:
        What the file holds. Only bytes without a newline count as torn: a whole line that cannot be used was
        written by something else, or edited.

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
            if not _usable(line, on_line):
                raise UsageError(
                    f"line {number} of {path} was not written by blendin batch, or was edited",
                    "remove it (its row is answered again), choose another -o, or start over with --restart",
                )
            content.whole += len(line)
            content.digest.update(line)
    return content


def _usable(line: bytes, on_line: Callable[[Mapping[str, Any]], None]) -> bool:
    try:
        on_line(json.loads(line))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, ArithmeticError):
        return False
    return True


def replace_file(path: Path, chunks: Iterable[bytes], *, one_writer: bool = False) -> None:
    """Write a private file so that a reader always finds the old or the new one, whole.

    Args:
        path: The file.
        chunks: The new content.
        one_writer: Whether a lock keeps other writers away (`files.write_atomic`).

    Raises:
        WriteError: The disk is full or broken; the old file is unchanged.
    """
    try:
        write_atomic(path, chunks, one_writer=one_writer)
    except OSError as error:
        raise cannot_write(path, error) from error


class AppendOnlyFile:
    """A JSON Lines file that is only appended to. Open it with `locked`; `read` it before the first `append`.

    Args:
        path: The file.

    Attributes:
        torn: Bytes of an incomplete last line that were removed, or would be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = 0
        self._fd = -1
        self._created = False
        self._content = Content()
        self._time: int | None = None  # of the last modification that is known to be ours

    @classmethod
    @contextmanager
    def locked(cls, path: Path, *, create: bool = True) -> Iterator[AppendOnlyFile]:
        """Open a file that no other process of this program can write to.

        Args:
            path: The file.
            create: Whether to create it now; otherwise with its first line. A new file that stays empty is
                removed at the end.

        Raises:
            UsageError: Another process is writing to it.
            WriteError: It cannot be opened or locked.
        """
        file = cls(path)
        try:
            if create or file._is_there():
                file._open_locked()
            yield file
        finally:
            file._close()

    @property
    def is_open(self) -> bool:
        """Whether the file exists and is locked."""
        return self._fd >= 0

    def _is_there(self) -> bool:
        try:
            return self.path.exists()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _open_locked(self) -> None:
        try:
            for _ in range(ATTEMPTS):
                created = not self.path.exists()
                fd = open_private_fd(self.path, FLAGS)
                if self._locked(fd):
                    self._fd, self._created = fd, created
                    sync_directory(self.path)
                    return
        except OSError as error:
            raise cannot_write(self.path, error) from error
        raise UsageError(f"{self.path} keeps being replaced", "stop what replaces it, or choose another -o")

    def _locked(self, fd: int) -> bool:
        """Lock it; close it and return False if the path now leads to another file."""
        try:
            if not try_lock(fd):
                raise UsageError(
                    f"another blendin batch is writing to {self.path}", "wait for it, or choose another -o"
                )
            if is_same_file(fd, self.path):
                return True
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return False

    def read(self, on_line: Callable[[Mapping[str, Any]], None]) -> None:
        """Read the lines of earlier runs, and remove an incomplete last line.

        Args:
            on_line: As for `read_back`.

        Raises:
            UsageError: A line was not written by a batch.
            WriteError: The file cannot be written, or was changed meanwhile.
        """
        self._content = read_back(self.path, on_line)
        self.torn = self._content.torn
        if self._fd < 0:
            return
        try:
            self._require_same_file(self._content.whole + self.torn)
            if self.torn:
                os.ftruncate(self._fd, self._content.whole)
                os.fsync(self._fd)
            self._time = os.fstat(self._fd).st_mtime_ns
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a line; when this returns, it is on disk.

        Raises:
            WriteError: The disk is full or broken, and the file ends with its last whole line; or the file
                was removed, renamed, replaced, truncated or edited meanwhile.
        """
        data = encode(record)
        if self._fd < 0:
            self._open_locked()
        try:
            self._require_untouched()
            write_all(self._fd, data)
            os.fsync(self._fd)
        except OSError as error:
            self._cut_to_whole_lines()
            raise cannot_write(self.path, error) from error
        self._content.whole += len(data)
        self._content.digest.update(data)
        self._time = None
        with suppress(OSError):  # otherwise the bytes are compared before the next line
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

    def _require_same_file(self, size: int) -> None:
        """Raise `WriteError` unless the path leads to our file, of this size."""
        if not is_same_file(self._fd, self.path):
            exists = os.path.lexists(self.path)
            raise self._changed_by_others(
                "was replaced by another file" if exists else "was removed or renamed"
            )
        found = os.fstat(self._fd).st_size
        if found != size:
            kind = "was truncated" if found < size else "was written to by something else"
            raise self._changed_by_others(f"{kind} ({found:,} bytes instead of {size:,})")

    def _require_untouched(self) -> None:
        self._require_same_file(self._content.whole)
        changed = os.fstat(self._fd).st_mtime_ns
        if changed == self._time:
            return
        if self._digest() != self._content.digest.digest():
            raise self._changed_by_others("was edited")
        self._time = changed

    def _digest(self) -> bytes:
        digest = hashlib.sha256()
        os.lseek(self._fd, 0, os.SEEK_SET)  # appending does not depend on the offset
        while chunk := os.read(self._fd, CHUNK):
            digest.update(chunk)
        return digest.digest()

    def _changed_by_others(self, what: str) -> WriteError:
        return WriteError(
            f"{self.path} {what} while it was being written",
            "restore the file, then run the same command again: it answers only the rows that are not in it",
        )

    def _cut_to_whole_lines(self) -> None:
        """After a failed write: truncate to the last whole line, as far as the disk allows."""
        with suppress(OSError):
            if os.fstat(self._fd).st_size > self._content.whole:  # never make it longer: that would be a hole
                os.ftruncate(self._fd, self._content.whole)

    def remove(self) -> None:
        """Delete the file while no other process can write to it.

        Raises:
            OSError: The system refuses.
        """
        if self._fd >= 0 and os.name == "nt":
            os.ftruncate(self._fd, 0)  # Windows cannot delete an open file
        else:
            self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd < 0:
            return
        with suppress(OSError):
            if self._created and not os.fstat(self._fd).st_size and is_same_file(self._fd, self.path):
                self.path.unlink()
        os.close(self._fd)
        self._fd = -1
