"""A file of prompts as a stream of raw rows: JSON Lines, CSV or plain text.

Here: `read_raw`, which never holds more than one row and never stops at an invalid one.
Not here: what a row means (`rows`), which rows there are and which ids are used twice (`scan`).
The file's suffix decides: `.csv` and `.tsv` are tables, `.txt` has one prompt per line, any other is JSON
Lines.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from blendin_local.errors import UsageError
from blendin_local.files import retry_open
from blendin_local.settings import (
    SWITCH_WORDS,
    AnswerSettings,
    BlendSettings,
    SamplingSettings,
    Setting,
    settings_on,
)

BOM = b"\xef\xbb\xbf"
SEPARATORS = {".csv": ",", ".tsv": "\t"}
SETTINGS = settings_on("row", BlendSettings, SamplingSettings, AnswerSettings)  # columns of a table
MAX_CELL = 2**31 - 1  # characters
MAX_SHOWN_NAME = 60  # characters of a column's name in a message


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it is in the file.

    Attributes:
        line: The line it begins on, from 1.
        values: Its fields by name; empty if it could not be read.
        error: Why it could not be read; empty if it could.
    """

    line: int
    values: Mapping[str, Any]
    error: str = ""


def read_raw(path: Path, field: str | None, digest: Callable[[bytes], None]) -> Iterator[RawRow]:
    """The rows of a file without blank lines.

    Args:
        path: The file.
        field: The name of the field that holds the prompt; None means `prompt`.
        digest: Called with every byte of the file, line by line.

    Raises:
        UsageError: The file cannot be read, or has no column for the prompt.
    """
    try:
        with retry_open(lambda: path.open("rb")) as file:
            separator = SEPARATORS.get(path.suffix.lower())
            if separator:
                yield from _table(_lines(file, digest), separator, field)
            else:
                parse = _text if path.suffix.lower() == ".txt" else _json
                for number, line in enumerate(_lines(file, digest), 1):
                    if line.strip():
                        yield parse(number, line, field)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error


def _lines(file: BinaryIO, digest: Callable[[bytes], None]) -> Iterator[bytes]:
    for number, line in enumerate(file):
        digest(line)
        yield line.removeprefix(BOM) if number == 0 else line


def _json(number: int, line: bytes, field: str | None) -> RawRow:
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError as error:
        return RawRow(number, {}, _not_utf8(line, error))
    except json.JSONDecodeError as error:
        return RawRow(number, {}, f"is not JSON: {error.msg} at character {error.colno}")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or endless nesting
        return RawRow(number, {}, f"is JSON that cannot be read: {type(error).__name__}")
    if not isinstance(value, dict):
        return RawRow(number, {}, f"is {_kind(value)}, not an object with a prompt")
    if field is not None and field in value:
        value["prompt"] = value.pop(field)
    return RawRow(number, value)


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _text(number: int, line: bytes, field: str | None) -> RawRow:
    del field
    try:
        return RawRow(number, {"prompt": line.decode().rstrip("\r\n")})
    except UnicodeDecodeError as error:
        return RawRow(number, {}, _not_utf8(line, error))


def _not_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    return f"is not UTF-8: byte {error.start} of the line is 0x{line[error.start]:02x}"


def _table(lines: Iterator[bytes], separator: str, field: str | None) -> Iterator[RawRow]:
    csv.field_size_limit(MAX_CELL)
    decoded = (line.decode("utf-8", "surrogateescape") for line in lines)
    reader = csv.reader(decoded, delimiter=separator, strict=True)
    header = _header(reader)
    prompt = _prompt_column(header, field)
    while True:
        begins = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield RawRow(begins, {}, f"is not a row of a table: {error}")
            continue
        if any(cell.strip() for cell in cells):
            yield _table_row(begins, header, cells, prompt)


def _header(reader: Iterator[list[str]]) -> list[str]:
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise UsageError(
            f"the first line is not a header: {error}", "put the names of the columns there"
        ) from None
    try:
        "".join(names).encode()
    except UnicodeEncodeError:  # escapes of bytes that are not UTF-8
        raise UsageError("the first line is not UTF-8", "convert the file, for example with iconv") from None
    return names


def _prompt_column(header: list[str], field: str | None) -> str:
    if field is None and len(header) == 1:
        return header[0]
    column = field or "prompt"
    if column not in header:
        raise UsageError(
            f"there is no column {column!r}; the columns are {', '.join(map(plain_name, header)) or 'none'}",
            "name the column of the prompt with --field",
        )
    return column


def plain_name(name: str) -> str:
    """The name of a field or column, short and printable."""
    short = name if len(name) <= MAX_SHOWN_NAME else f"{name[:MAX_SHOWN_NAME]}…"
    return short if short.isprintable() else ascii(short)


def _table_row(line: int, header: list[str], cells: list[str], prompt: str) -> RawRow:
    if len(cells) != len(header):
        return RawRow(line, {}, f"has {len(cells)} cells, but there are {len(header)} columns")
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:  # escapes of bytes that are not UTF-8
        return RawRow(line, {}, "is not UTF-8")
    values: dict[str, Any] = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    if prompt != "prompt":
        values["prompt"] = values.pop(prompt, "")
    for name in values.keys() & SETTINGS.keys():
        values[name] = _cell(SETTINGS[name], values[name])
    return RawRow(line, values)


def _cell(setting: Setting, cell: str) -> Any:  # noqa: ANN401 - as `_number`
    if setting.kind == "switch":
        return SWITCH_WORDS.get(cell.lower(), cell)
    return _number(cell) if setting.kind in {"number", "count"} else cell


def _number(cell: str) -> Any:  # noqa: ANN401 - other text is refused where the field's type is known
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell
