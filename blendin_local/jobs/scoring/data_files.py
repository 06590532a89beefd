"""Benchmark files: JSON lines and CSV, read into rows that know their line.

Here: `DataFile` (where a benchmark's file is and what its rows must have), `DataRow`, keys for rows
without a name.
Not here: what a row means (`jobs.evaluation.benchmarks`, `jobs.probe.prompts`).
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blendin_local.core.text import require_text
from blendin_local.errors import UsageError


@dataclass(frozen=True, slots=True)
class DataRow:
    """A row of a file; reading a wrong field names the file and the line.

    Attributes:
        path: The file.
        line: The line it begins on, from 1.
        values: Its fields.
    """

    path: Path
    line: int
    values: Mapping[str, Any]

    def text(self, name: str) -> str:
        """The field `name`, a text with something in it."""
        value = self.values.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"{name} is {_shown(value)}, not a text")
        return value

    def number(self, name: str) -> int:
        """The field `name`, a whole number or the digits of one."""
        value = self.values.get(name)
        try:
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise ValueError
            return int(value)
        except ValueError:
            raise self.error(f"{name} is {_shown(value)}, not a whole number") from None

    def texts(self, name: str) -> tuple[str, ...]:
        """The field `name`, a list of texts."""
        return self.all_texts(name, self.values.get(name))

    def all_texts(self, name: str, value: object) -> tuple[str, ...]:
        """`value`, found under `name`, as texts."""
        if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
            raise self.error(f"{name} is {_shown(value)}, not a list of texts")
        return tuple(value)

    def error(self, what: str) -> UsageError:
        """An error about this row."""
        return UsageError(
            f"{self.path}, line {self.line}: {what}", "correct the row, or download the file again"
        )


@dataclass(frozen=True, slots=True)
class DataFile:
    """A benchmark's file.

    Attributes:
        folder: Its folder below a data folder.
        file: Its name; `.csv` files are CSV with a header, others JSON lines.
        fields: The fields that every row must have.
        shipped: The data folder that is read where no other is given.
    """

    folder: str
    file: str
    fields: tuple[str, ...]
    shipped: Path

    def path(self, root: Path | None = None) -> Path:
        """The file below `root`, or the shipped one."""
        return (root or self.shipped) / self.folder / self.file

    def rows(self, root: Path | None = None) -> list[DataRow]:
        """All rows of the file.

        Raises:
            UsageError: The file is missing or empty, or a row is not an object or lacks a field.
        """
        path = self.path(root)
        read = _csv if path.suffix == ".csv" else _json_lines
        try:
            rows = list(read(path))
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read: {error.strerror}",
                f"--data names a folder with {self.folder}/{self.file}",
            ) from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
        if not rows:
            raise UsageError(f"{path} has no rows", "download the file again")
        for row in rows:
            if missing := [name for name in self.fields if row.values.get(name) is None]:
                raise row.error(f"there is no {' and no '.join(missing)}")
        return rows


def key_of(*texts: str) -> str:
    """A name for a question that has none in the data: a digest of its texts, the same in every edition."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def _json_lines(path: Path) -> Iterator[DataRow]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _json_row(path, number, line)


def _json_row(path: Path, number: int, line: str) -> DataRow:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataRow(path, number, {}).error(f"not JSON ({error.msg} at column {error.colno})") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, or brackets in brackets
        raise DataRow(path, number, {}).error("not JSON that can be read") from error
    if not isinstance(values, dict):
        raise DataRow(path, number, {}).error("not an object")
    if "\\u" in line:  # only an escape can spell half of a character
        try:
            require_text(json.dumps(values, ensure_ascii=False), "the row")
        except UsageError as error:
            raise DataRow(path, number, {}).error(error.message) from None
    return DataRow(path, number, values)


def _csv(path: Path) -> Iterator[DataRow]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        line = 2
        for values in reader:
            if None in values:
                raise DataRow(path, line, {}).error("more fields than the header has")
            yield DataRow(path, line, values)
            line = reader.line_num + 1


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
