"""JSON Schema: what docs/structured-output.md calls supported is matched, the rest is refused."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest

from blendin_local.errors import UsageError
from tests.forms import grammar_of, matches
from tests.paths import ROOT

DOCUMENT = (ROOT / "docs" / "structured-output.md").read_text()
SUPPORTED = {
    "type": ({"type": ["integer", "null"]}, [1, -20, None], [1.5, "1", []]),
    "enum": ({"enum": ["red", 2, None]}, ["red", 2, None], ["blue", 3, "2"]),
    "const": ({"const": {"a": [1]}}, [{"a": [1]}], [{"a": [2]}, {}]),
    "properties": (
        {"properties": {"a": {"type": "integer"}}, "type": "object"},
        [{"a": 1}, {}],
        [{"a": "x"}],
    ),
    "required": ({"type": "object", "required": ["a"]}, [{"a": 1}], [{}, {"b": 1}]),
    "additionalProperties": (
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
        [{"a": 1}, {}],
        [{"b": 1}],
    ),
    "patternProperties": (
        {"type": "object", "patternProperties": {"^n": {"type": "integer"}}},
        [{"n1": 1}, {"x": "y"}],
        [{"n1": "y"}],
    ),
    "minProperties": ({"type": "object", "minProperties": 2}, [{"a": 1, "b": 2}], [{"a": 1}]),
    "maxProperties": ({"type": "object", "maxProperties": 1}, [{"a": 1}, {}], [{"a": 1, "b": 2}]),
    "items": ({"type": "array", "items": {"type": "string"}}, [[], ["a", "b"]], [[1], ["a", 2]]),
    "prefixItems": ({"type": "array", "prefixItems": [{"type": "integer"}]}, [[1], [1, "x"]], [["x"]]),
    "minItems": ({"type": "array", "minItems": 2}, [[1, 2]], [[1]]),
    "maxItems": ({"type": "array", "maxItems": 1}, [[1], []], [[1, 2]]),
    "minLength": ({"type": "string", "minLength": 2}, ["éa", "abc"], ["é", ""]),
    "maxLength": ({"type": "string", "maxLength": 2}, ["éa", ""], ["abc"]),
    "pattern": ({"type": "string", "pattern": "b+"}, ["abc", "b"], ["ac"]),
    "format": ({"type": "string", "format": "date"}, ["2026-03-31"], ["31.3.2026", "2026-13-01"]),
    "minimum": ({"type": "integer", "minimum": -3}, [-3, 100], [-4]),
    "maximum": ({"type": "number", "maximum": 2.5}, [2.5, -7], [2.6, 3]),
    "exclusiveMinimum": ({"type": "integer", "exclusiveMinimum": 0}, [1], [0, -1]),
    "exclusiveMaximum": ({"type": "number", "exclusiveMaximum": 1}, [0.99], [1, 1.5]),
    "multipleOf": ({"type": "integer", "multipleOf": 15}, [0, 45, 1500], [10, 44]),
    "anyOf": ({"anyOf": [{"type": "integer"}, {"type": "array"}]}, [1, [1]], ["x", {}]),
    "allOf": ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, [3], [2, "x"]),
    "oneOf": (
        {
            "oneOf": [
                {"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]}
                for kind in "ab"
            ]
        },
        [{"kind": "a"}, {"kind": "b"}],
        [{"kind": "c"}, {}],
    ),
    "$ref": (
        {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}},
        [[], [[], [[]]]],
        [[1], 1],
    ),
    "$defs": ({"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}, [1], ["x"]),
    "definitions": ({"definitions": {"n": {"type": "integer"}}, "$ref": "#/definitions/n"}, [1], ["x"]),
    "$id": ({"$id": "https://x.example/a", "type": "integer"}, [1], ["x"]),
    "$anchor": ({"$defs": {"n": {"$anchor": "here", "type": "integer"}}, "$ref": "#here"}, [1], ["x"]),
}
FORMATS = {
    "date-time": ("2026-03-31T12:00:00Z", "2026-03-31"),
    "date": ("2026-03-31", "2026-3-31"),
    "time": ("12:00:00Z", "25:00:00Z"),
    "duration": ("P1DT2H", "2 hours"),
    "email": ("a.b@x.example", "a.b"),
    "hostname": ("x.example", "-x"),
    "ipv4": ("127.0.0.1", "127.0.0.256"),
    "ipv6": ("fe80::1", "12345::"),
    "uri": ("https://x.example/?a=b#c", "x y"),
    "uuid": ("2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2eb8aa08"),
}
REFUSED = {
    "not": {},
    "if": {},
    "then": {},
    "else": {},
    "contains": {},
    "minContains": 1,
    "maxContains": 1,
    "uniqueItems": True,
    "propertyNames": {"minLength": 1},
    "dependentRequired": {"a": ["b"]},
    "dependentSchemas": {"a": {}},
    "unevaluatedItems": False,
    "unevaluatedProperties": False,
    "$dynamicRef": "#a",
    "$dynamicAnchor": "a",
}


def names_in(text):
    return set(re.findall(r"`([$\w-]+)`", text))


def test_the_document_names_what_is_tested_here():
    """Supported keywords, known formats, and keywords that are not supported."""
    table = DOCUMENT.split("| supported |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (`[^|]*) \|(.*)\|$", table, re.MULTILINE)
    refused = DOCUMENT.split("Not supported: ")[1].split("\n\n")[0]

    assert set().union(*(names_in(keywords) for keywords, _ in rows)) == set(SUPPORTED)
    assert names_in(dict(rows)["`format`"]) == set(FORMATS)
    assert names_in(refused) == set(REFUSED)


@pytest.mark.parametrize("keyword", SUPPORTED)
def test_a_supported_keyword_is_matched_as_the_validator_reads_it(keyword):
    """What matches is valid, what is invalid does not match."""
    schema, valid, invalid = SUPPORTED[keyword]
    grammar = grammar_of(json_schema=json.dumps(schema))
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())

    assert keyword in json.dumps(schema)
    for instances, right in ((valid, True), (invalid, False)):
        for each in instances:
            assert validator.is_valid(each) is right, each
            assert matches(grammar, json.dumps(each, ensure_ascii=False)) is right, each


@pytest.mark.parametrize("name", FORMATS)
def test_a_known_format_is_matched(name):
    """One text that has it, and one that has not."""
    right, wrong = FORMATS[name]
    grammar = grammar_of(json_schema=json.dumps({"type": "string", "format": name}))

    assert matches(grammar, json.dumps(right))
    assert not matches(grammar, json.dumps(wrong))


@pytest.mark.parametrize("keyword", REFUSED)
def test_a_keyword_that_is_not_supported_is_refused_with_its_place(keyword):
    """Never ignored: the answer would not match."""
    schema = {"properties": {"x": {keyword: REFUSED[keyword]}}}
    with pytest.raises(UsageError) as caught:
        grammar_of(json_schema=json.dumps(schema))

    assert (
        caught.value.message == f'the JSON Schema is not supported at /properties/x: the keyword "{keyword}"'
    )


def test_white_space_is_bounded():
    """One blank after a comma and a colon, and no other; a schema may ask for another layout."""
    schema = {"type": "object", "properties": {"a": {"type": "array"}}, "required": ["a"]}
    grammar = grammar_of(json_schema=json.dumps(schema))
    flexible = grammar_of(json_schema=json.dumps({**schema, "x-guidance": {"whitespace_flexible": True}}))

    assert matches(grammar, '{"a": [1, 2]}')
    for text in ('{"a":[1, 2]}', '{"a": [1,2]}', '{ "a": [1, 2]}', ' {"a": [1, 2]}', '{"a": [1, 2]}\n'):
        assert not matches(grammar, text)
    assert matches(flexible, '{\n  "a": [1,2]\n}')


def test_properties_come_in_the_order_of_the_schema():
    """Then any others, where the schema wants them."""
    schema = {"type": "object", "properties": {"b": {}, "a": {}}, "additionalProperties": True}
    grammar = grammar_of(json_schema=json.dumps(schema))

    assert matches(grammar, '{"b": 1, "a": 2, "c": 3}')
    assert not matches(grammar, '{"a": 2, "b": 1}')


def test_any_object_is_an_object():
    """Also where JSON Schema itself would let `{}` be any value."""
    for schema in ("{}", "true", '{"type": "object"}'):
        grammar = grammar_of(json_schema=schema)
        assert matches(grammar, '{"a": [1, {"b": null}]}')
        assert not matches(grammar, "1")
