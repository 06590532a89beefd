"""What the models are told of the JSON Schema that their answer must match.

Here: `as_told`, by the settings of an answer; `with_schema`.
Not here: making the answer match (`grammar.matcher`), which needs no words: it keeps an uninformed model to
the schema, but not to what the schema means.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from blendin_local.core.prompts import Message
from blendin_local.grammar.definition import Definition, definition_of, read_schema
from blendin_local.settings import AnswerSettings

ANY_OBJECT_TEXT = "Answer with a JSON object."
SCHEMA_TEXT = "Answer with JSON that matches this JSON Schema:"


def as_told(messages: Sequence[Message], answer: AnswerSettings) -> list[Message]:
    """The conversation as the models are told it: with the JSON Schema, where there is one to be told."""
    definition = definition_of(answer) if answer.schema_in_prompt else None
    return list(messages) if definition is None else with_schema(messages, definition)


def with_schema(messages: Sequence[Message], definition: Definition) -> list[Message]:
    """The conversation with the JSON Schema at the end of the last question.

    A regular expression or a grammar is not told: its text means little to a model.

    Args:
        messages: The conversation.
        definition: What the answer must match.
    """
    text = _instruction(definition)
    if not text or not messages or messages[-1].speaker != "user":
        return list(messages)
    return [*messages[:-1], Message("user", f"{messages[-1].text}\n\n{text}")]


def _instruction(definition: Definition) -> str:
    if definition.kind == "json_object":
        return ANY_OBJECT_TEXT
    if definition.kind == "json_schema":
        schema = json.dumps(read_schema(definition.text), ensure_ascii=False)
        return f"{SCHEMA_TEXT}\n{schema}"
    return ""
