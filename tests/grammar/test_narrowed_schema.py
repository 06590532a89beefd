"""A narrowed schema leaves models no room to lose themselves, and nothing matches it that should not."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from blendin_local.grammar.narrowed_schema import LARGEST, SMALLEST_FRACTION, _mapped, narrowed
from tests.forms import grammar_of, matches
from tests.paths import ROOT

ROWS = [
    json.loads(line)
    for line in (ROOT / "benchmarks" / "structured" / "schemas.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
LISTED = {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}
OR_NULL = {"type": ["integer", "null"]}
INTEGER = {"type": "integer", "minimum": -LARGEST, "maximum": LARGEST}


def without_step(part):
    return {key: value for key, value in part.items() if value != SMALLEST_FRACTION}


def closed(schema):
    return {**schema, "additionalProperties": False}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_narrowing_takes_away_and_adds_nothing(row):
    """Of the marked instances the grammar accepts just those that match the schema and its narrowed form."""
    schema = row["schema"]
    grammar = grammar_of(json_schema=json.dumps(schema))
    validator = Draft202012Validator(_mapped(narrowed(schema), without_step))  # floats have no multiples

    for instance in row["valid"]:
        assert matches(grammar, json.dumps(instance, ensure_ascii=False)) == validator.is_valid(instance)
    assert not any(matches(grammar, json.dumps(each, ensure_ascii=False)) for each in row["invalid"])


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (LISTED, closed(LISTED)),
        ({"type": "array", "items": LISTED}, {"type": "array", "items": closed(LISTED)}),
        ({"anyOf": [LISTED, {"type": "null"}]}, {"anyOf": [closed(LISTED), {"type": "null"}]}),
        (
            {"$ref": "#/$defs/allOf", "$defs": {"allOf": LISTED}},
            {"$ref": "#/$defs/allOf", "$defs": {"allOf": closed(LISTED)}},
        ),
        ({"type": "integer"}, INTEGER),
        (
            {"type": ["integer", "null"], "minimum": 3},
            {"type": ["integer", "null"], "minimum": 3, "maximum": LARGEST},
        ),
        (
            {"type": "integer", "exclusiveMaximum": 9},
            {"type": "integer", "exclusiveMaximum": 9, "minimum": -LARGEST},
        ),
        (
            {"type": "number", "minimum": 0, "multipleOf": 0.5},
            {"type": "number", "minimum": 0, "multipleOf": 0.5, "maximum": LARGEST},
        ),
        ({"type": "number"}, {**INTEGER, "type": "number", "multipleOf": SMALLEST_FRACTION}),
        ({"properties": {"n": {"type": "integer"}}}, closed({"properties": {"n": INTEGER}})),
    ],
    ids=[
        "object",
        "in a list",
        "alternative",
        "definition",
        "integer",
        "bounded below",
        "bounded above",
        "steps",
        "number",
        "nested",
    ],
)
def test_what_is_narrowed(schema, expected):
    """Objects that list their properties, wherever they are, and numbers without a bound."""
    assert narrowed(schema) == expected


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {**LISTED, "additionalProperties": True},
        {**LISTED, "patternProperties": {"^x": {}}},
        {**LISTED, "required": ["a", "z"]},
        {**LISTED, "minProperties": 3},
        {"allOf": [LISTED, {"properties": {"c": {}}}]},
        {**LISTED, "anyOf": [{"required": ["c"]}, {"required": ["d"]}]},
        {**LISTED, "$ref": "#/$defs/more", "$defs": {"more": {"properties": {"c": {}}}}},
        {"properties": {"allOf": {"const": 1}}, "additionalProperties": {"type": "string"}},
        {"type": "integer", "enum": [1, 2]},
        {"enum": [{"type": "integer"}]},
        {"const": {"properties": {"a": 1}}},
    ],
    ids=str,
)
def test_what_stays_as_it_is(schema):
    """Objects that need other properties, values that several schemas describe, and data in a schema."""
    assert narrowed(schema) == schema
