"""What `structured_output.py` reads, and how it judges answers: pure functions, no model.

Here: the rows of `structured/`, questions in words, answers read with and without a form, fields counted,
results that are kept line by line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parent / "structured"
Outcome = Literal["valid", "length", "other"]
Record = dict[str, Any]


def read_rows(path: Path) -> list[Record]:
    """The rows of a JSON Lines file; the last line may be torn, of a run that was broken off."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


class Results:
    """Records of answers in a JSON Lines file, so that a run that was broken off goes on where it was.

    Args:
        path: The file; None keeps the records in memory only.
        keys: The fields that say which answer it is.
    """

    def __init__(self, path: Path | None, keys: tuple[str, ...]) -> None:
        self.records = read_rows(path) if path else []
        self._keys = keys
        self._path = path
        self._done = {self._key(record) for record in self.records}
        if path and path.exists():  # without a torn line
            path.write_text("".join(map(_line, self.records)), encoding="utf-8")

    def _key(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(record[key] for key in self._keys)

    def has(self, **fields: object) -> bool:
        """Whether the answer with these keys is already there."""
        return self._key(fields) in self._done

    def add(self, record: Record) -> None:
        """Keep a record, on disk at once."""
        self.records.append(record)
        self._done.add(self._key(record))
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(record))


def _line(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def judge(schema: Any, text: str, finish_reason: str) -> tuple[Outcome, str]:  # noqa: ANN401 - any JSON
    """What became of an answer that must match a schema, and what is wrong with it.

    Returns:
        `valid` if it matches, else `length` if it was cut off, else `other`; and the validator's or the
        parser's message.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        return ("length" if finish_reason == "length" else "other"), f"not JSON: {error}"
    checker = Draft202012Validator.FORMAT_CHECKER
    mistake = next(Draft202012Validator(schema, format_checker=checker).iter_errors(found), None)
    if mistake is None:
        return "valid", ""
    return ("length" if finish_reason == "length" else "other"), f"{mistake.json_path}: {mistake.message}"


def in_words(schema: Mapping[str, Any]) -> str:
    """The fields of an object in a sentence, for a model that is told no JSON Schema."""
    return ", ".join(f"{name} ({_kind(field)})" for name, field in schema["properties"].items())


def _kind(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        kind = "one of " + ", ".join(json.dumps(each) for each in field["enum"])
    else:
        kinds = {"string": "text", "boolean": "true or false", "integer": "a whole number"}
        kind = kinds.get(field["type"], "a number")
    return f"{field['description']}, {kind}"


def question(row: Mapping[str, Any], *, told_fields: bool) -> str:
    """What the models are asked about a text, with or without its fields in words."""
    fields = f" with the fields {in_words(row['schema'])}" if told_fields else " with the data of this text"
    return f"Write a JSON object, and nothing else,{fields}.\n\nText: {row['text']}\n\nJSON:"


def first_object(text: str) -> Record | None:
    """The first JSON object in a text, whatever stands before or after it; None if there is none."""
    decoder = json.JSONDecoder()
    for brace in re.finditer(r"\{", text):
        try:
            found: Record = decoder.raw_decode(text, brace.start())[0]
        except (ValueError, RecursionError):
            continue
        return found
    return None


def fields_right(found: Mapping[str, Any] | None, answer: Mapping[str, Any]) -> int:
    """How many fields of the labelled answer were found; all are wrong where nothing was."""
    return sum(name in found and same(found[name], value) for name, value in answer.items()) if found else 0


def same(found: object, value: object) -> bool:
    """Whether a value is the labelled one: text by its words, without case; a number may be 2.0 for 2."""
    if isinstance(value, str):
        return isinstance(found, str) and _words(found) == _words(value)
    if isinstance(value, bool) or isinstance(found, bool):
        return found is value
    return isinstance(found, int | float) and found == value


def _words(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .")
