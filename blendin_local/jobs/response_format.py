"""The form of an answer as other programs ask for it: `response_format` of OpenAI's API.

Here: `with_form`, which puts the settings of this program in its place; `form_field`, which field asked.
Not here: reading the settings (`jobs.request_values`), what a form means (`grammar`).
Sources: OpenAI's API reference, chat completions; llama-server's README, whose `json_object` may have a
`schema`, and whose `json_schema` and `grammar` are settings here by the same names; vLLM's documentation of
structured outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blendin_local.core.prompts import quoted
from blendin_local.errors import UsageError
from blendin_local.settings import FORMS

FIELD = "response_format"
TYPES = ("text", "json_object", "json_schema")
OF_OTHERS = (
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "structured_outputs",
    "structural_tag",
)
"""Fields of vLLM's for the same. They are refused: without the form the answer would be another one."""
INSTEAD = "send response_format, or blend: json_schema, regex or grammar"
FREE: Mapping[str, Any] = dict.fromkeys(FORMS, "none")
"""Settings of an answer that may be any text, also where the defaults have a form."""


def with_form(values: Mapping[str, Any], name: str = FIELD) -> dict[str, Any]:
    """The values of a request, with the settings that its `response_format` stands for.

    Args:
        values: By the names of rows; null means not given, and so does an empty text in place of a form.
        name: What messages call the field.

    Raises:
        UsageError: The field is wrong, or the form is given twice, or in a field that is not read.
    """
    given = {key: value for key, value in values.items() if _is_given(key, value)}
    for other in OF_OTHERS:
        if other in given:
            raise UsageError(f"{other} is not supported", INSTEAD)
    form = _settings_of(given.pop(FIELD, None), name)
    twice = [each for each in FORMS if each in given and form not in ({}, FREE)]
    if twice:
        raise UsageError(f"the form is given twice, in {name} and in {twice[0]}", "leave one of them out")
    return {**form, **given}


def form_field(values: Mapping[str, Any], blend: Mapping[str, Any]) -> str:
    """The field of a request that asks for a form; empty if none does.

    Args:
        values: The body.
        blend: Its member `blend`.
    """
    named = [f"blend.{each}" for each in FORMS if _is_given(each, blend.get(each))]
    named += [each for each in FORMS if _is_given(each, values.get(each))]
    return named[0] if named else FIELD if values.get(FIELD) is not None else ""


def _is_given(name: str, value: object) -> bool:
    return value is not None and not (value == "" and name in FORMS)


def _settings_of(asked: object, name: str) -> dict[str, Any]:
    if asked is None:
        return {}
    if not isinstance(asked, dict):
        raise UsageError(f"{name} is {quoted(asked)}", 'write {"type": "json_object"}')
    match asked.get("type"):
        case "text":
            return dict(FREE)
        case "json_object":
            schema = asked.get("schema")
            return _schema({} if schema is None else schema, f"{name}.schema")
        case "json_schema":
            return _named_schema(asked, name)
    raise UsageError(f"{name}.type is {quoted(asked.get('type'))}", f"choose one of {', '.join(TYPES)}")


def _named_schema(asked: Mapping[str, Any], name: str) -> dict[str, Any]:
    """`{"json_schema": {"name": ..., "schema": ..., "strict": ...}}`; an answer always has the form."""
    named = asked.get("json_schema", {"schema": asked.get("schema")})
    if not isinstance(named, dict) or named.get("schema") is None:
        raise UsageError(f"{name}.json_schema has no schema", 'write {"name": "...", "schema": {...}}')
    schema, described = named["schema"], named.get("description")
    if isinstance(schema, dict) and isinstance(described, str):
        schema = {"description": described, **schema}
    return _schema(schema, f"{name}.json_schema.schema")


def _schema(schema: object, name: str) -> dict[str, Any]:
    if not isinstance(schema, dict | bool):
        raise UsageError(f"{name} is {quoted(schema)}", "send a JSON Schema")
    return {"json_schema": schema}
