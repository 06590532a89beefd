"""What an answer must match, as its settings define it.

Here: `Definition` and `definition_of`.
Not here: whether it can be matched (`grammar.compilation`), where its text comes from (`grammar.source`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from blendin_local.errors import UsageError
from blendin_local.settings import AnswerSettings

DefinitionKind = Literal["json_schema", "json_object", "regex", "gbnf", "lark"]
ANY_OBJECT: tuple[object, ...] = ({}, {"type": "object"})
"""Schemas that ask for any JSON object. JSON Schema itself would let `{}` be any value."""
NAMES = {
    "json_schema": "the JSON Schema",
    "json_object": "the JSON Schema",
    "regex": "the regular expression",
    "gbnf": "the grammar",
    "lark": "the grammar",
}
"""What messages call each kind."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What an answer must match.

    Attributes:
        kind: The language of the text; `json_object` is any JSON object.
        text: The JSON Schema as JSON, the regular expression, or the grammar.
    """

    kind: DefinitionKind
    text: str

    @property
    def name(self) -> str:
        """What messages call it: `the JSON Schema`."""
        return NAMES[self.kind]


def definition_of(answer: AnswerSettings) -> Definition | None:
    """What an answer with these settings must match; None if it may be any text.

    Raises:
        UsageError: The JSON Schema is not JSON.
    """
    if answer.json_schema is not None:
        return _of_schema(answer.json_schema)
    if answer.regex is not None:
        return Definition("regex", answer.regex)
    if answer.grammar is not None:
        return Definition("gbnf" if "::=" in answer.grammar else "lark", answer.grammar)
    return None


def _of_schema(text: str) -> Definition:
    schema = read_schema(text)
    kind: DefinitionKind = "json_object" if schema is True or schema in ANY_OBJECT else "json_schema"
    return Definition(kind, '{"type": "object"}' if kind == "json_object" else text)


def read_schema(text: str) -> object:
    """A JSON Schema from its text.

    Raises:
        UsageError: It is not JSON, with line and column.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UsageError(f"the JSON Schema is not JSON at {place}: {error.msg}", "correct it") from None
    except RecursionError:
        raise UsageError("the JSON Schema is nested too deeply", "use $ref and $defs") from None
    except ValueError as error:  # NaN, or a number of thousands of digits
        raise UsageError(f"the JSON Schema is not JSON: {error}", "correct it") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")
