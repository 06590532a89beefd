"""The first of two passes over the input: is every row valid, and is every id unique?

Here: `scan_rows`, and `IdIndex`, which maps ids to rows in 12 bytes per row.
Not here: what a row means (`rows`), the second pass, which answers the rows (`batch`).
Ids are kept as 64-bit hashes; where two hashes are equal, the ids are read again and compared.
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
from blendin_local.jobs.batch.rows import InvalidRow, Row, interpret
from blendin_local.jobs.request_values import RequestDefaults

MAX_UNUSED = 12  # names of unused fields that are kept


def hash_id(key: str) -> int:
    """The 64-bit hash of an id."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")


class IdIndex:
    """Maps ids to rows: 12 bytes per row.

    Args:
        hashes: Hashes of the ids.
        rows: Numbers of the rows they belong to, ascending from 0.
    """

    def __init__(self, hashes: array[int], rows: array[int]) -> None:
        order = np.argsort(np.array(hashes, np.uint64), kind="stable")
        self._hashes: NDArray[np.uint64] = np.array(hashes, np.uint64)[order]
        self._rows: NDArray[np.uint32] = np.array(rows, np.uint32)[order]

    def row_of(self, key: str) -> int | None:
        """The first row with this id, from 0."""
        key_hash = np.uint64(hash_id(key))
        at = int(np.searchsorted(self._hashes, key_hash))
        found = at < len(self._hashes) and self._hashes[at] == key_hash
        return int(self._rows[at]) if found else None

    def repeated_hashes(self) -> frozenset[int]:
        """The hashes that occur more than once."""
        again = self._hashes[1:][self._hashes[1:] == self._hashes[:-1]]
        return frozenset(int(value) for value in np.unique(again))


@dataclass(frozen=True)
class Scan:
    """What the first pass found.

    Attributes:
        source: The file.
        prompt_field: The field that holds the prompt, if the user named one.
        defaults: Settings of rows that set nothing themselves.
        sha256: Checksum of the whole file.
        size: Bytes of the file.
        size_mtime: Size and modification time, to notice a change between the passes.
        rows: Number of rows, invalid ones included.
        invalid: Number of rows that cannot be answered.
        methods: The methods that the rows use.
        n_slots: How many sequences of each model the largest search of a row needs; 0 without a search.
        unused: Names of fields that have no meaning.
        index: The row of every id.
        duplicates: By line, rows whose id an earlier row has, and why they are refused.
    """

    source: Path
    prompt_field: str | None
    defaults: RequestDefaults
    sha256: str
    size: int
    size_mtime: tuple[int, int]
    rows: int
    invalid: int
    methods: frozenset[str]
    n_slots: int
    unused: tuple[str, ...]
    index: IdIndex
    duplicates: dict[int, str] = field(default_factory=dict)

    def read(self) -> Iterator[Row | InvalidRow]:
        """All rows again, in order.

        Raises:
            UsageError: The file has changed.
        """
        for raw in read_raw(self.source, self.prompt_field, lambda _: None):
            self.require_unchanged()
            found = interpret(raw, self.defaults)
            if isinstance(found, Row) and raw.line in self.duplicates:
                found = InvalidRow(raw.line, self.duplicates[raw.line], found.request.key)
            yield found

    def require_unchanged(self) -> None:
        """Raise `UsageError` if the file has changed since the first pass."""
        if size_and_mtime(self.source) == self.size_mtime:
            return
        if sha256_of(self.source) != self.sha256:
            raise UsageError(
                f"{self.source} was changed while its rows were being answered", "restore the original file"
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
        raise UsageError(f"{path} cannot be read: {error.strerror}", "restore it") from error


def size_and_mtime(path: Path) -> tuple[int, int]:
    """Size and modification time (ns) of a file.

    Raises:
        UsageError: It does not exist, or is not a regular file.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    if not path.is_file():
        raise UsageError(f"{path} is not a regular file", "the input is read twice: write it to a file first")
    return stat.st_size, stat.st_mtime_ns


class _Collector:
    """Collects facts about the rows during the first pass."""

    def __init__(self, on_invalid: Callable[[InvalidRow], None]) -> None:
        self.on_invalid = on_invalid
        self.hashes, self.numbers = array("Q"), array("I")
        self.rows = self.invalid = self.n_slots = 0
        self.methods: set[str] = set()
        self.unused: dict[str, None] = {}

    def add(self, found: Row | InvalidRow) -> None:
        self.rows += 1
        if isinstance(found, InvalidRow):
            self.add_invalid(found)
            return
        self.hashes.append(hash_id(found.request.key))
        self.numbers.append(self.rows - 1)
        self.methods.add(found.request.blend.method)
        if size := found.request.sampling.search_size:
            self.n_slots = max(self.n_slots, size.n_slots)
        if len(self.unused) < MAX_UNUSED:
            self.unused |= dict.fromkeys(sorted(found.unused))

    def add_invalid(self, row: InvalidRow) -> None:
        self.invalid += 1
        self.on_invalid(row)


def scan_rows(
    source: Path,
    field_name: str | None,
    defaults: RequestDefaults,
    on_invalid: Callable[[InvalidRow], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> Scan:
    """Read the whole input once.

    Args:
        source: The file.
        field_name: The field that holds the prompt; None means `prompt`.
        defaults: Settings of rows that set nothing themselves.
        on_invalid: Called with every invalid row: first those that cannot be read, in order, then those whose
            id was used before.
        should_stop: Polled for each row.

    Raises:
        UsageError: The file cannot be read, or holds no rows.
        KeyboardInterrupt: `should_stop` became true.
    """
    size_mtime, digest, seen = size_and_mtime(source), hashlib.sha256(), _Collector(on_invalid)
    for raw in read_raw(source, field_name, digest.update):
        if should_stop():
            raise KeyboardInterrupt
        seen.add(interpret(raw, defaults))
    if not seen.rows:
        raise UsageError(f"{source} has no rows", "write one prompt per line")
    index = IdIndex(seen.hashes, seen.numbers)
    duplicates: dict[int, str] = {}
    for row in _duplicates(source, field_name, defaults, index.repeated_hashes()):
        duplicates[row.line] = row.message
        seen.add_invalid(row)
    return Scan(
        source=source,
        prompt_field=field_name,
        defaults=defaults,
        sha256=digest.hexdigest(),
        size=size_mtime[0],
        size_mtime=size_mtime,
        rows=seen.rows,
        invalid=seen.invalid,
        methods=frozenset(seen.methods) & frozenset(METHODS),
        n_slots=seen.n_slots,
        unused=tuple(map(plain_name, seen.unused)),
        index=index,
        duplicates=duplicates,
    )


def _duplicates(
    source: Path, field_name: str | None, defaults: RequestDefaults, repeated_hashes: frozenset[int]
) -> Iterator[InvalidRow]:
    """Rows whose id an earlier row has; a further pass, only if hashes are equal."""
    if not repeated_hashes:
        return
    first: dict[int, tuple[str, int]] = {}
    for raw in read_raw(source, field_name, lambda _: None):
        row = interpret(raw, defaults)
        if isinstance(row, InvalidRow) or (hashed := hash_id(row.request.key)) not in repeated_hashes:
            continue
        key, line = first.setdefault(hashed, (row.request.key, row.line))
        if line == row.line:
            continue
        same = "was used" if key == row.request.key else f"cannot be told apart from {key!r}"
        yield InvalidRow(row.line, f"custom_id {row.request.key!r} {same} on line {line}", row.request.key)
