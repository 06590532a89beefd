"""Files that grow by whole lines and lose none.

Here: `GrowingFile`, `read_back`, `replace_file`.
Not here: what the lines say (`forms`), which rows they stand for (`run`).
Each line is one write and one fsync, so what a crash leaves behind is at most one broken line, the last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from blendin_local.errors import UsageError, WriteError

MODE = 0o666  # less the user's mask


def encode(record: Mapping[str, Any]) -> bytes:
    """One line of JSON."""
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


class GrowingFile:
    """A file of JSON lines that is appended to; opened at the first line.

    Args:
        path: The file.
        size: Bytes of it that hold whole lines; what lies beyond is cut off.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._fd = -1

    def append(self, record: Mapping[str, Any]) -> None:
        """Put a line onto the disk; when this returns, it is there.

        Raises:
            WriteError: The disk is full or broken; the file ends with its last whole line.
        """
        data = encode(record)
        try:
            self._open()
            _write_all(self._fd, data)
            os.fsync(self._fd)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise cannot_write(self._path, error) from error
        self._size += len(data)

    def _open(self) -> None:
        if self._fd >= 0:
            return
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), MODE)
        os.ftruncate(self._fd, self._size)
        os.lseek(self._fd, 0, os.SEEK_END)
        sync_directory(self._path)

    def close(self) -> None:
        """Close it; what is broken at the end is cut off even if nothing was appended."""
        try:
            if self._fd < 0 and self._path.exists() and self._path.stat().st_size > self._size:
                self._open()
        except OSError as error:
            raise cannot_write(self._path, error) from error
        finally:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def cannot_write(path: Path, error: OSError) -> WriteError:
    """What to say where the disk refuses."""
    return WriteError(
        f"{path} cannot be written: {error.strerror}",
        "every finished row is kept: make room, then run the same command again",
    )


def read_back(path: Path, take: Callable[[Mapping[str, Any]], None]) -> int:
    """Read the lines of an earlier run.

    Args:
        path: The file; it may be absent.
        take: Is given each line's record; raises KeyError, TypeError or AttributeError for one it cannot use.

    Returns:
        How many bytes hold whole lines: all, or all before a last line that a crash has torn.

    Raises:
        UsageError: A line before the last is not one of a batch.
    """
    good, broken = 0, 0
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return 0
    with file:
        for number, line in enumerate(file, 1):
            if broken:
                raise UsageError(
                    f"line {broken} of {path} was not written by blendin batch",
                    "take it out, choose another -o, or begin anew with --restart",
                )
            if _usable(line, take):
                good += len(line)
            else:
                broken = number
    return good


def _usable(line: bytes, take: Callable[[Mapping[str, Any]], None]) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        take(json.loads(line))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return False
    return True


def replace_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file so that a reader finds the old or the new one, whatever happens.

    Raises:
        WriteError: The disk is full or broken; the old file is there.
    """
    temporary = path.with_name(f".{path.name}.new")  # one writer at a time: see `places.held`
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise cannot_write(path, error) from error


def sync_directory(path: Path) -> None:
    """Make a new name in a directory last; systems that cannot do so are left alone."""
    with suppress(OSError):
        fd = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
