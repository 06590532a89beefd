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
from blendin_local.grammar.messages import limit_error, require_no_tokens, schema_error, text_error
from blendin_local.grammar.narrowed_schema import narrowed
from blendin_local.grammar.schema_place import place_of
from blendin_local.grammar.trial import problem_of

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

JSON_LAYOUT: JsonCompileOptions = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
"""JSON on one line, as `json.dumps` writes it."""
OWN_LAYOUT = "x-guidance"
"""The keyword by which a schema asks for another, with llguidance's options and its defaults for them."""


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
    if definition.kind == "lark":
        require_no_tokens(definition.text)
    if problem := problem_of(grammar):
        raise text_error(definition, problem)
    return grammar


def _of_schema(definition: Definition) -> str:
    schema = read_schema(definition.text)
    if schema is False:
        raise UsageError("the JSON Schema is false: it matches nothing", "correct it")
    if not isinstance(schema, Mapping):
        raise UsageError("the JSON Schema is not an object", "it begins with {")
    try:
        grammar = _schema_grammar(schema)
    except ValueError as error:
        beyond = limit_error(definition, str(error))
        raise beyond or schema_error(definition, str(error), "", schema) from None
    if problem := problem_of(grammar):
        if beyond := limit_error(definition, problem):
            raise beyond
        place, part = place_of(schema, lambda each: _first_line(problem_of(_schema_grammar(each))))
        raise schema_error(definition, problem, place, part)
    return grammar


def _schema_grammar(schema: Mapping[str, Any]) -> str:
    layout = None if OWN_LAYOUT in schema else JSON_LAYOUT
    return LLMatcher.grammar_from_json_schema(json.dumps(narrowed(schema)), defaults=layout)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
