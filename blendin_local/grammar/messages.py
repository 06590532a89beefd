"""llguidance's messages in plain words, with the place in what the user wrote.

Here: `text_error`, for regular expressions and grammars; `schema_error`, for a JSON Schema; `too_large`.
Not here: the place in a JSON Schema (`grammar.schema_place`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.grammar.definition import Definition

MAX_SHOWN = 60  # characters of a keyword's value in a message
NO_TEXT_MATCHES = re.compile(r"NoExtensionBias")
ENDLESS = re.compile(r"Too many items")
TOO_LARGE = re.compile(r"too big|too large|too deeply nested|too many|\bfuel\b|exceeded|exceeds")
REGEX = re.compile(
    r"regex parse error:\n    (?P<pattern>.*)\n    (?P<blanks> *)\^+\n(?:.*\n)*?error: (?P<why>.*)"
)
PLACE = re.compile(r"(?:at )?(?P<line>[0-9]+)\((?P<column>[0-9]+)\): (?P<why>.*)")
LOOKAROUND = re.compile(r"lookarounds not supported yet.*")
NO_LOOKAROUND = r"looking around, as ^, $ and \b inside of it do, is not supported"
UNSUPPORTED = re.compile(r"Unimplemented keys: (?P<keys>\[.*\])")
UNSATISFIABLE = re.compile(r"Unsatisfiable schema: (?P<why>.*)")
SCHEMA_REASONS = (
    (re.compile(r"Unknown format: .*"), "format", "this format is not known"),
    (re.compile(r"Pointer '(.*)' does not exist"), "$ref", "there is nothing"),
    (re.compile(r"Resource '.*"), "$ref", "only references inside of the schema are followed"),
    (re.compile(r"oneOf constraints.*"), "oneOf", "its alternatives overlap; write anyOf"),
    (re.compile(r"patternProperty regexes.*"), "patternProperties", "two of its patterns overlap"),
)
"""What llguidance says, the keyword that it is about, and the reason in other words."""


def too_large(definition: Definition) -> UsageError:
    """The error for a definition that is beyond the limits."""
    hint = "shorten it, or give it smaller numbers of repetitions"
    return UsageError(f"{definition.name} is too large or too complex", hint)


def text_error(definition: Definition, problem: str) -> UsageError:
    """The error for a regular expression or a grammar.

    Args:
        definition: The definition.
        problem: What llguidance says.
    """
    if error := _limit_error(definition, problem):
        return error
    why, place = _reason(problem), ""
    in_regex = REGEX.search(problem)
    if definition.kind == "regex" and in_regex and in_regex["pattern"] == definition.text:
        place = f" at column {len(in_regex['blanks']) + 1}"
    elif definition.kind == "lark" and (found := PLACE.match(problem)):
        place = f" at line {found['line']}, column {found['column']}"
    return UsageError(f"{definition.name} is not valid{place}: {why}", "correct it")


def schema_error(definition: Definition, problem: str, place: str, schema: Mapping[str, Any]) -> UsageError:
    """The error for a JSON Schema.

    Args:
        definition: The definition.
        problem: What llguidance says.
        place: A JSON pointer to the schema that it is about.
        schema: That schema.
    """
    if error := _limit_error(definition, problem):
        return error
    where = f"at {place}" if place else "at its top"
    if found := UNSUPPORTED.match(problem):
        keys = ", ".join(f'"{key}"' for key in json.loads(found["keys"]))
        message = f"the JSON Schema is not supported {where}: the keyword {keys}"
        return UsageError(message, "leave it out, or say it otherwise")
    if found := UNSATISFIABLE.match(problem):
        return UsageError(f"the JSON Schema matches nothing {where}: {found['why']}", "correct it")
    keyword, why = _keyword(problem, schema)
    if not keyword:
        return UsageError(f"the JSON Schema is not supported {where}: {why}", "correct it")
    shown = f'"{keyword}": {_shown(schema[keyword])}'
    return UsageError(f"the JSON Schema is not supported {where}: the keyword {shown} ({why})", "correct it")


def _limit_error(definition: Definition, problem: str) -> UsageError | None:
    """The error where the definition can be read, but not be matched."""
    if NO_TEXT_MATCHES.search(problem):
        return UsageError(f"{definition.name} matches nothing", "correct it")
    if ENDLESS.search(problem):
        message = f"no answer could ever be complete: {definition.name} always needs more text"
        return UsageError(message, "add a way to end it")
    return too_large(definition) if TOO_LARGE.search(problem) else None


def _keyword(problem: str, schema: Mapping[str, Any]) -> tuple[str, str]:
    """The keyword of a schema that a problem is about, empty if that is not clear, and the reason."""
    for pattern, keyword, reason in SCHEMA_REASONS:
        if pattern.match(problem) and keyword in schema:
            return keyword, reason
    if "regex" in problem:
        return _first(("pattern", "patternProperties"), schema), _reason(problem)
    words = re.findall(r"[\w$-]+", problem)
    return _first(words, schema), _reason(problem)


def _first(words: Iterable[str], schema: Mapping[str, Any]) -> str:
    return next((word for word in words if word in schema), "")


def _reason(problem: str) -> str:
    """The reason alone: no copy of the text, no place."""
    if found := REGEX.search(problem):
        return found["why"]
    if LOOKAROUND.search(problem):
        return NO_LOOKAROUND
    first = problem.partition("\n")[0]
    found = PLACE.match(first)
    return found["why"] if found else first


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
