"""Rows of every shape: each field of each form with each kind of value, and bytes changed at random."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from blendin_local.errors import BlendinError, UsageError
from blendin_local.jobs.batch.input_file import RawRow
from blendin_local.jobs.batch.rows import InvalidRow, Row, interpret
from tests.jobs.batches import DEFAULTS, lines, run, scan

MAX_MESSAGE_CHARS = 400
DEEP = json.loads("[" * 150 + "]" * 150)
NUMBERS = (0, 1, -1, 2, 7, 10**30, -(10**30), 10**400, 0.0, -0.0, 0.5, 1.0, 1.5, -3.5, 1e308, 5e-324)
TEXTS = (
    "",
    " ",
    "x",
    "auto",
    "calibrated",
    "blendin",
    "user",
    "7",
    "\0",
    "\n",
    "\x1b[31m",
    "é",
    "x" * 100_000,
)
VALUES = (
    None, True, False, *NUMBERS, float("nan"), float("inf"), float("-inf"), *TEXTS, "\ud800", "a\udfffb",
    [], [[]], [None], ["x"], [1], [{}], {}, {"x": []}, {"": ""}, [{"type": "text"}], DEEP, {"x": DEEP},
    {"role": "user", "content": "x"}, [{"role": "user", "content": "x"}], [{"role": [], "content": {}}],
    [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
)  # fmt: skip
USER = {"role": "user", "content": "hi"}
OWN = {
    "custom_id": "a",
    "prompt": "x",
    "system": "s",
    "max_tokens": 3,
    "method": "base",
    "threshold": 0.2,
    "alpha": 0.5,
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 1,
    "stop": ["y"],
}
BODY = {
    "messages": [USER],
    "n": 1,
    "model": "m",
    "stream": False,
    "user": "u",
    "blend": {"threshold": 0.2, "alpha": 0},
}
CHAT = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": BODY}
PLAIN = {"prompt": "x", "max_completion_tokens": 4, "stop": "y", "seed": 1}
TEXT = {**CHAT, "url": "/v1/completions", "body": PLAIN}
SAID = {"role": "assistant", "content": "a"}
TALK = {"id": 5, "messages": [{"role": "system", "content": "s"}, USER, SAID, USER]}
CELLS = (
    *map(str, NUMBERS),
    *TEXTS,
    "nan",
    "inf",
    "1e400",
    "9" * 5000,
    "1_0",
    "\u0661",
    "[]",
    "null",
    '"',
    ",",
)
COLUMNS = (
    "custom_id",
    "prompt",
    "system",
    "max_tokens",
    "method",
    "threshold",
    "alpha",
    "temperature",
    "seed",
)
NAMES = ("n", "id", "messages", "blend", "body", "url", "field nobody reads", "\ud800", "\x1b[2J", "")


def with_each_value(row: object) -> Iterator[object]:
    """The row with each of its parts, at any depth, replaced by each value, or taken away, or doubled."""
    yield from VALUES
    if isinstance(row, dict):
        for name in (*row, *NAMES):
            yield {key: value for key, value in row.items() if key != name}
            yield from ({**row, name: value} for value in with_each_value(row.get(name)))
    elif isinstance(row, list):
        for i, part in enumerate(row):
            yield from ([*row[:i], value, *row[i + 1 :]] for value in with_each_value(part))
            yield [*row, part]


def problem_of(found: Row | InvalidRow) -> str | None:
    """What is wrong with what became of a row."""
    if isinstance(found, Row):
        return None
    message = found.message
    if not message or "\n" in message or len(message) > MAX_MESSAGE_CHARS:
        return f"it is refused with {message[:50]!r}"
    try:
        json.dumps([message, found.id], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "its refusal cannot be written"
    return None


@pytest.mark.parametrize("row", [OWN, TALK, CHAT, TEXT], ids=["own", "messages", "chat", "completion"])
def test_each_field_of_each_form_with_each_kind_of_value(row, ledger, tmp_path):
    """A row is read or is a fault that says why; no value of any type stops the others."""
    rows = list(with_each_value(row))
    random.Random(3).shuffle(rows)
    with ledger.kind("rows with values of every kind") as trials:
        for value in rows[: ledger.count(1500, len(rows))]:
            if not isinstance(value, dict):
                continue  # whole lines are tried below
            try:
                trouble = problem_of(interpret(RawRow(7, value), DEFAULTS))
            except Exception as error:  # noqa: BLE001 - that is what the trial is about
                trouble = f"{type(error).__name__}: {error}"
            trials.record(_short(value), trouble)


def _short(value: object) -> str:
    return ascii(value)[:200]


def _file_of_rows(path: Path, rows: list[object]) -> Path:
    """Every second row is a good one."""
    with path.open("w") as file:
        for i, row in enumerate(rows):
            if isinstance(row, dict) and "custom_id" in row:
                row = {**row, "custom_id": f"r-{i}"} if row["custom_id"] == "a" else row  # noqa: PLW2901
            file.write(json.dumps(row) + "\n" + json.dumps({"custom_id": f"good-{i}", "prompt": "x"}) + "\n")
    return path


def test_bad_rows_in_a_file_stop_no_other(ledger, tmp_path):
    """Through a whole run: each bad row is listed by its line and recorded, each good one answered."""
    chance, rows = random.Random(5), []
    for row in (OWN, TALK, CHAT, TEXT):
        rows += chance.sample(list(with_each_value(row)), ledger.count(40, 500))
    rows = [row for row in rows if len(json.dumps(row)) < 2000]
    path, out = _file_of_rows(tmp_path / "p.jsonl", rows), tmp_path / "a.jsonl"
    found, faults = scan(path)
    run(path, out)
    answered = {line["custom_id"] for line in lines(out)}
    refused = {line["line"]: line["error"]["message"] for line in lines(tmp_path / "a.errors.jsonl")}
    listed = {fault.line: fault.message for fault in faults}

    with ledger.kind("rows of a file, among good ones") as trials:
        for i in range(len(rows)):
            line = 2 * i + 1
            trouble = None if f"good-{i}" in answered else "the row after it has no answer"
            if line in listed and refused.get(line) != listed[line]:
                trouble = "it is listed but not recorded"
            trials.record(_short(rows[i]), trouble)
    assert found.rows == len(answered) + len(refused) == 2 * len(rows)


PIECES = (b"", b"\0", b"\xff", b'"', b"\n", b"\r", b"{", b"[" * 50, b",", b"\xef\xbb\xbf")


def _changed(data: bytes, chance: random.Random) -> bytes:
    """Some bytes replaced, taken away, put in or doubled."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(changed) + 1)
        end = at + chance.randrange(5)
        changed[at:end] = chance.choice(
            (
                b"",
                b"\0",
                b"\xff",
                b'"',
                b"\n",
                b"\r",
                b"{",
                b"[" * 50,
                b",",
                b"\xef\xbb\xbf",
                bytes(changed[at : at + 9]),
            )
        )
    return bytes(changed)


def _samples() -> dict[str, bytes]:
    rows = [
        ["custom_id", "prompt", "max_tokens", "alpha"],
        *([f"r{i}", 'a "b"\nc', 3, "auto"] for i in range(4)),
    ]
    whole = [{**row, "custom_id": f"r{i}"} for i, row in enumerate((OWN, TALK, CHAT, TEXT))]
    return {
        "p.jsonl": "".join(json.dumps(row) + "\n" for row in whole).encode(),
        "p.csv": _table(rows, ","),
        "p.tsv": _table(rows, "\t"),
        "p.txt": "one\ntwo é\n\nthree\n".encode(),
    }


def _table(rows: list[list[object]], separator: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def test_each_column_of_a_table_with_each_kind_of_cell(ledger, tmp_path):
    """Numbers, words and texts of every length in every column, and columns of any name."""
    with ledger.kind("tables with cells of every kind") as trials:
        for column, name in enumerate(COLUMNS):
            for cell in (*CELLS, "\ud800"):
                row = [f"r{i}" if i == 0 else "x" if i == 1 else "" for i in range(len(COLUMNS))]
                row[column] = cell
                (tmp_path / "p.csv").write_bytes(_table([list(COLUMNS), row, ["good", "x", *[""] * 7]], ","))
                trials.record(f"{name} {_short(cell)}", _read(tmp_path / "p.csv", None))
        for cell in (*CELLS, "\ud800"):
            (tmp_path / "p.csv").write_bytes(_table([["prompt", cell], ["x", "y"]], ","))
            trials.record(f"a column {_short(cell)}", _read(tmp_path / "p.csv", None))


def test_files_with_changed_bytes(ledger, tmp_path):
    """Inputs of every form with bytes changed at random: read, or refused row by row, or in one line."""
    chance, samples = random.Random(11), _samples()
    with ledger.kind("inputs with changed bytes") as trials:
        for number in range(ledger.count(800, 8000)):
            name = chance.choice(sorted(samples))
            data = _changed(samples[name], chance)
            (tmp_path / name).write_bytes(data)
            trials.record(
                f"{number} {name}", _read(tmp_path / name, chance.choice((None, None, "prompt", "x")))
            )


def _read(path: Path, field: str | None) -> str | None:
    try:
        found, faults = scan(path, field)
        again = list(found.read())
    except UsageError as error:
        return f"it is refused with {error.message!r}" if "\n" in error.message else None
    except Exception as error:  # noqa: BLE001 - that is what the trial is about
        return f"{type(error).__name__}: {error}"
    if sum(isinstance(row, InvalidRow) for row in again) != len(faults):
        return "read again, other rows are bad"
    try:
        "".join(found.unused).encode()
    except UnicodeEncodeError:
        return "the names of its unused fields cannot be written"
    return next((trouble for row in again if (trouble := problem_of(row))), None)


@pytest.mark.parametrize("name", ["p.jsonl", "p.csv", "p.txt"])
def test_errors_of_reading_are_ours(name, tmp_path):
    """The trials above would hide an error of another kind if it were one of the tree."""
    assert issubclass(UsageError, BlendinError)
    (tmp_path / name).write_bytes(_samples()[name])
    assert _read(tmp_path / name, None) is None


def test_values_of_any_depth(ledger, tmp_path):
    """Nested as deep as JSON can be read, or deeper: a fault of that row, never an error of recursion."""
    with ledger.kind("rows with deeply nested values") as trials:
        for depth in range(20, 2000, 20):
            for name in ("seed", "prompt", "stop", "messages", "custom_id", "body"):
                value = "[" * depth + "]" * depth if depth % 40 else '{"a":' * depth + "1" + "}" * depth
                path = tmp_path / "p.jsonl"
                path.write_text(f'{{"prompt": "x"}}\n{{"prompt": "x", "{name}": {value}}}\n')
                trials.record(f"{name} {depth} deep", _read(path, None))
