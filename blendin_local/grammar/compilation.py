"""Definitions as llguidance reads them, or refused with the place and the reason.

Here: `compile_definition`.
Not here: matching an answer.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

from blendin_local.errors import UsageError
from blendin_local.grammar.definition import Definition

if TYPE_CHECKING:
    from llguidance import GrammarFormat
    from llguidance._lib import JsonCompileOptions

JSON_LAYOUT: JsonCompileOptions = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
"""JSON on one line, as `json.dumps` writes it; `x-guidance` of a schema may ask for another."""


@lru_cache(maxsize=64)
def compile_definition(definition: Definition) -> str:
    """The grammar that llguidance's matcher takes.

    Args:
        definition: What an answer must match.

    Raises:
        UsageError: It is invalid or not supported; the message has the place and the reason.
    """
    from llguidance import LLMatcher, grammar_from  # noqa: PLC0415 - `--help` must not wait for it

    try:
        if definition.kind in {"json_schema", "json_object"}:
            text = LLMatcher.grammar_from_json_schema(definition.text, defaults=JSON_LAYOUT)
        else:
            text = grammar_from(cast("GrammarFormat", definition.kind), definition.text)
    except ValueError as error:
        raise UsageError(f"{definition.name} is not valid: {error}", "correct it") from None
    is_error, messages = LLMatcher.validate_grammar_with_warnings(text)
    if is_error:
        raise UsageError(f"{definition.name} is not supported: {messages[0]}", "correct it")
    return text
