"""Lines on the disk: how they are encoded, read back and replaced.

Here: `encode`, `read_back`, `replace_file`, `cannot_write`.
Not here: appending to a file (`growing`), what the lines say (`forms`), which rows they stand for (`kept`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blendin_local.errors import UsageError, WriteError
from blendin_local.files import retry_open, write_atomic

if TYPE_CHECKING:
    from hashlib import _Hash


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
