"""llguidance's messages in plain words, with the place in what the user wrote.

Here: `text_error`, for regular expressions and grammars; `schema_error`, for a JSON Schema; `limit_error` and
`too_large`, for both.
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
MAX_FORCED = 10_000  # bytes without a choice; llguidance gives up at some tens of thousands
ENDLESS = "more forced bytes than are allowed"
"""What is wrong with a grammar that forces more, beside what llguidance says."""
TOO_LARGE = re.compile(
    r"recursion limit|[Tt]oo many|too big|too large|too deeply nested|\bfuel\b|\bexceed(?:s|ed)?\b"
)
REGEX = re.compile(
    r"regex parse error:\n    (?P<pattern>.*)\n    (?P<blanks> *)\^+\n(?:.*\n)*?error: (?P<why>.*)"
)
PLACE = re.compile(r"(?:at )?(?P<line>[0-9]+)\((?P<column>[0-9]+)\): (?P<why>.*)")
LOOKAROUND = re.compile(r"lookarounds not supported yet.*")
NO_LOOKAROUND = r"look-around, and ^, $ and \b inside the expression, are not supported"
UNSUPPORTED = re.compile(r"Unimplemented keys: (?P<keys>\[.*\])")
UNSATISFIABLE = re.compile(r"Unsatisfiable schema: (?P<why>.*)")
IN_OTHER_WORDS: Mapping[str, str] = {
    "f64": "a number",
    "lexer error": "it cannot be read from here on",
    "no start rule found": "there is no rule start, where an answer begins",
}
TOKEN = re.compile(r"<[^\s<>]+>")
NO_TOKENS = re.compile(r'"(?:\\.|[^"\\\n])*"|/(?:\\.|[^/\\\n])+/|//[^\n]*|#[^\n]*')
"""What can hold the characters of a token in Lark: texts, regular expressions, comments."""
SCHEMA_REASONS = (
    (re.compile(r"Unknown format: .*"), "format", "this format is not known"),
    (re.compile(r"Pointer '(.*)' does not exist"), "$ref", "there is nothing at this place"),
    (re.compile(r"Resource '.*"), "$ref", "only references within the schema are followed"),
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
    if error := limit_error(definition, problem):
        return error
    why, place = _reason(problem), ""
    in_regex = REGEX.search(problem)
    if definition.kind == "regex" and in_regex and in_regex["pattern"] == definition.text:
        place = f" at column {len(in_regex['blanks']) + 1}"
    elif definition.kind == "lark" and (found := PLACE.match(problem)):
        place = f" at line {found['line']}, column {found['column']}"
    return UsageError(f"{definition.name} is not valid{place}: {why}", "correct it")


def require_no_tokens(text: str) -> None:
    """Raise `UsageError` where a grammar in Lark names a token: the two models have different ones."""
    rest = NO_TOKENS.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    if found := TOKEN.search(rest):
        line = rest.count("\n", 0, found.start()) + 1
        column = found.start() - rest.rfind("\n", 0, found.start())
        raise UsageError(
            f"the grammar is not supported at line {line}, column {column}: the token {found[0]:.40}",
            "write its text in quotation marks",
        )


def schema_error(definition: Definition, problem: str, place: str, schema: Mapping[str, Any]) -> UsageError:
    """The error for a JSON Schema.

    Args:
        definition: The definition.
        problem: What llguidance says.
        place: A JSON pointer to the schema that it is about.
        schema: That schema.
    """
    where = f"at {place}" if place else "at its top"
    if found := UNSUPPORTED.match(problem):
        keys = [f'"{key}"' for key in json.loads(found["keys"])]
        keywords = f"the keyword{'s' if len(keys) > 1 else ''} {', '.join(keys)}"
        message = f"the JSON Schema is not supported {where}: {keywords}"
        return UsageError(message, "leave it out, or express it differently")
    if found := UNSATISFIABLE.match(problem):
        return UsageError(f"the JSON Schema matches nothing {where}: {found['why']}", "correct it")
    keyword, why = _keyword(problem, schema)
    if not keyword:
        return UsageError(f"the JSON Schema is not supported {where}: {why}", "correct it")
    shown = f'"{keyword}": {_shown(schema[keyword])}'
    return UsageError(f"the JSON Schema is not supported {where}: the keyword {shown} ({why})", "correct it")


def limit_error(definition: Definition, problem: str) -> UsageError | None:
    """The error where it is not about a part of the definition: nothing matches, or too much would."""
    if NO_TEXT_MATCHES.search(problem):
        return UsageError(f"{definition.name} matches nothing", "correct it")
    if problem == ENDLESS:
        message = f"{definition.name} forces a text without end, or one of more than {MAX_FORCED:,} bytes"
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
    why = found["why"] if (found := PLACE.match(first)) else first
    for said, meant in IN_OTHER_WORDS.items():
        why = why.replace(said, meant)
    return why[:1].lower() + why[1:]


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
