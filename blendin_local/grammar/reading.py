"""A definition as llguidance's grammar, with whatever time and memory that takes.

Here: `read_definition`.
Not here: limits (`grammar.compilation`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llguidance import LLMatcher

from blendin_local.errors import UsageError
from blendin_local.grammar.definition import Definition, read_schema
from blendin_local.grammar.gbnf.lark import to_lark
from blendin_local.grammar.messages import schema_error, text_error
from blendin_local.grammar.schema_place import place_of
from blendin_local.grammar.trial import problem_of

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

JSON_LAYOUT: JsonCompileOptions = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
"""JSON on one line, as `json.dumps` writes it; `x-guidance` of a schema may ask for another."""


def read_definition(definition: Definition) -> str:
    """The grammar that llguidance's matcher takes.

    Args:
        definition: What an answer must match.

    Raises:
        UsageError: It is invalid or not supported; the message has the place and the reason.
    """
    if definition.kind in {"json_schema", "json_object"}:
        return _of_schema(definition)
    if definition.kind == "regex":
        grammar = LLMatcher.grammar_from_regex(definition.text)
    else:
        text = to_lark(definition.text) if definition.kind == "gbnf" else definition.text
        grammar = LLMatcher.grammar_from_lark(text)
    if problem := problem_of(grammar):
        raise text_error(definition, problem)
    return grammar


def _of_schema(definition: Definition) -> str:
    schema = read_schema(definition.text)
    if schema is False:
        raise UsageError("the JSON Schema is false: it matches nothing", "correct it")
    if not isinstance(schema, Mapping):
        raise UsageError("the JSON Schema is not an object", "it begins with {")
    grammar = _schema_grammar(schema)
    if problem := problem_of(grammar):
        place, part = place_of(schema, lambda each: _first_line(problem_of(_schema_grammar(each))))
        raise schema_error(definition, _first_line(problem), place, part)
    return grammar


def _schema_grammar(schema: Mapping[str, Any]) -> str:
    return LLMatcher.grammar_from_json_schema(json.dumps(schema), defaults=JSON_LAYOUT)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
