"""The first of two readings of the input: is every row right, and is no id used twice?

Here: `scan_rows`, and `Index`, which knows the line of every id in a few bytes a row.
Not here: what a row means (`rows`), the second reading, which answers (`run`).
Ids are kept as 64-bit hashes; where two agree the ids themselves are read again and compared.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.methods import METHODS
from blendin_local.errors import UsageError
from blendin_local.files import retry_open
from blendin_local.jobs.batch.input_file import plain_name, read_raw
from blendin_local.jobs.batch.rows import InvalidRow, Row, RowDefaults, interpret

MOST_NAMES = 12  # of unused fields that are remembered


def hash_id(key: str) -> int:
    """64 bits that stand for an id."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")


class Index:
    """Which row has which id: 12 bytes a row.

    Args:
        hashes: Of the ids.
        rows: Numbers of the rows they belong to, ascending from 0.
    """

    def __init__(self, hashes: array[int], rows: array[int]) -> None:
        order = np.argsort(np.array(hashes, np.uint64), kind="stable")
        self._hashes: NDArray[np.uint64] = np.array(hashes, np.uint64)[order]
        self._rows: NDArray[np.uint32] = np.array(rows, np.uint32)[order]

    def row_of(self, key: str) -> int | None:
        """The first row with this id, from 0."""
        wanted = np.uint64(hash_id(key))
        place = int(np.searchsorted(self._hashes, wanted))
        found = place < len(self._hashes) and self._hashes[place] == wanted
        return int(self._rows[place]) if found else None

    def suspects(self) -> frozenset[int]:
        """The hashes that occur more than once."""
        again = self._hashes[1:][self._hashes[1:] == self._hashes[:-1]]
        return frozenset(int(value) for value in np.unique(again))


@dataclass(frozen=True)
class Scan:
    """What the first reading found.

    Attributes:
        source: The file.
        prompt_field: The field that holds the prompt, if it was named.
        defaults: What holds for a row that says nothing else.
        sha256: Of the whole file.
        size: Its bytes.
        stamp: Size and time, to notice a change between the readings.
        rows: Rows, the bad ones included.
        bad: Rows that cannot be answered.
        methods: The methods that its rows use.
        unused: Names of fields that nobody reads.
        index: The line of every id.
        doubles: Rows whose id an earlier row has, by their line, and why they are refused.
    """

    source: Path
    prompt_field: str | None
    defaults: RowDefaults
    sha256: str
    size: int
    stamp: tuple[int, int]
    rows: int
    bad: int
    methods: frozenset[str]
    unused: tuple[str, ...]
    index: Index
    doubles: dict[int, str] = field(default_factory=dict)

    def read(self) -> Iterator[Row | InvalidRow]:
        """All rows again, in order.

        Raises:
            UsageError: The file is not what it was.
        """
        for raw in read_raw(self.source, self.prompt_field, lambda _: None):
            self.require_unchanged()
            found = interpret(raw, self.defaults)
            if isinstance(found, Row) and raw.line in self.doubles:
                found = InvalidRow(raw.line, self.doubles[raw.line], found.request.key)
            yield found

    def require_unchanged(self) -> None:
        """Raise `UsageError` where the file is not what it was."""
        if stamp_of(self.source) == self.stamp:
            return
        if sha256_of(self.source) != self.sha256:
            raise UsageError(
                f"{self.source} was changed while it was being answered", "bring the old file back"
            )


def sha256_of(path: Path) -> str:
    """The checksum of a file.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        with retry_open(lambda: path.open("rb")) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "bring it back") from error


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of a file.

    Raises:
        UsageError: It is not there, or no regular file.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    if not path.is_file():
        raise UsageError(f"{path} is not a regular file", "the input is read twice: write it to a file first")
    return stat.st_size, stat.st_mtime_ns


class _Collector:
    """What is gathered of the rows while they pass."""

    def __init__(self, on_fault: Callable[[InvalidRow], None]) -> None:
        self.on_fault = on_fault
        self.hashes, self.numbers = array("Q"), array("I")
        self.rows = self.bad = 0
        self.methods: set[str] = set()
        self.unused: dict[str, None] = {}

    def take(self, found: Row | InvalidRow) -> None:
        self.rows += 1
        if isinstance(found, InvalidRow):
            self.fault(found)
            return
        self.hashes.append(hash_id(found.request.key))
        self.numbers.append(self.rows - 1)
        self.methods.add(found.request.blend.method)
        if len(self.unused) < MOST_NAMES:
            self.unused |= dict.fromkeys(sorted(found.unused))

    def fault(self, fault: InvalidRow) -> None:
        self.bad += 1
        self.on_fault(fault)


def scan_rows(
    source: Path, field_name: str | None, defaults: RowDefaults, on_fault: Callable[[InvalidRow], None]
) -> Scan:
    """Read the whole input once.

    Args:
        source: The file.
        field_name: The field that holds the prompt, None for `prompt`.
        defaults: What holds for a row that says nothing else.
        on_fault: Is told every bad row: those that cannot be read in order, then ids that are used twice.

    Raises:
        UsageError: The file cannot be read, or holds no rows.
    """
    stamp, digest, seen = stamp_of(source), hashlib.sha256(), _Collector(on_fault)
    for raw in read_raw(source, field_name, digest.update):
        seen.take(interpret(raw, defaults))
    if not seen.rows:
        raise UsageError(f"{source} holds no rows", "write one prompt a line")
    index = Index(seen.hashes, seen.numbers)
    doubles: dict[int, str] = {}
    for fault in _doubles(source, field_name, defaults, index.suspects()):
        doubles[fault.line] = fault.message
        seen.fault(fault)
    return Scan(
        source=source,
        prompt_field=field_name,
        defaults=defaults,
        sha256=digest.hexdigest(),
        size=stamp[0],
        stamp=stamp,
        rows=seen.rows,
        bad=seen.bad,
        methods=frozenset(seen.methods) & frozenset(METHODS),
        unused=tuple(map(plain_name, seen.unused)),
        index=index,
        doubles=doubles,
    )


def _doubles(
    source: Path, field_name: str | None, defaults: RowDefaults, suspects: frozenset[int]
) -> Iterator[InvalidRow]:
    """Rows whose id an earlier row has; one more reading, only where there are any."""
    if not suspects:
        return
    first: dict[int, tuple[str, int]] = {}
    for raw in read_raw(source, field_name, lambda _: None):
        row = interpret(raw, defaults)
        if isinstance(row, InvalidRow) or (hashed := hash_id(row.request.key)) not in suspects:
            continue
        key, line = first.setdefault(hashed, (row.request.key, row.line))
        if line == row.line:
            continue
        same = "was used" if key == row.request.key else f"cannot be told apart from {key!r}"
        yield InvalidRow(row.line, f"custom_id {row.request.key!r} {same} on line {line}", row.request.key)
