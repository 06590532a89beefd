"""What cannot be matched is refused, with the place and the reason."""

from __future__ import annotations

import json

import pytest

from blendin_local.errors import UsageError
from tests.forms import grammar_of

ITEM = {"properties": {"a/b": {"anyOf": [{"type": "string"}, {"not": {}}]}}}


def refusal(**form):
    with pytest.raises(UsageError) as caught:
        grammar_of(**form)
    return caught.value.message


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"not": {}}, 'not supported at its top: the keyword "not"'),
        ({"if": {}, "then": {}}, 'not supported at its top: the keywords "if", "then"'),
        (
            {"properties": {"when": {"format": "duration-iso"}}},
            'at /properties/when: the keyword "format": "duration-iso" (this format is not known)',
        ),
        ({"items": {"allOf": [{}, {"uniqueItems": True}]}}, 'at /items/allOf/1: the keyword "uniqueItems"'),
        (
            {"properties": {"x": {"$ref": "#/$defs/Item"}}, "$defs": {"Item": ITEM}},
            'at /$defs/Item/properties/a~1b/anyOf/1: the keyword "not"',
        ),
        (
            {"prefixItems": [{"type": "strin"}]},
            'at /prefixItems/0: the keyword "type": "strin" (invalid type: strin)',
        ),
        (
            {"properties": {"x": {"items": [{"$ref": "#/$defs/T"}, {"not": {}}]}}, "$defs": {"T": {}}},
            'at /properties/x/items/1: the keyword "not"',
        ),
        ({"properties": {"n": {"minimum": "x"}}}, 'the keyword "minimum": "x" (expected a number'),
        (
            {"properties": {"n": {"$ref": "#/$defs/No"}}},
            '/properties/n: the keyword "$ref": "#/$defs/No" (there is',
        ),
        (
            {"$ref": "http://x.example/y"},
            '"$ref": "http://x.example/y" (only references within the schema',
        ),
        (
            {"properties": {"p": {"pattern": "(?=a)b"}}},
            'at /properties/p: the keyword "pattern": "(?=a)b" (look-around',
        ),
        ({"oneOf": [{"minimum": 1}, {"maximum": 5}]}, 'the keyword "oneOf"'),
        (
            {
                "type": "object",
                "properties": {"n": {"type": "integer", "minimum": 5, "maximum": 3}},
                "required": ["n"],
            },
            "the JSON Schema matches nothing",
        ),
        (
            {"type": "string", "minLength": 3, "maxLength": 2},
            "matches nothing at its top: minLength (3) is greater",
        ),
        ({"$ref": "#"}, "the JSON Schema matches nothing"),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#"}},
                "required": ["a"],
                "additionalProperties": False,
            },
            "the JSON Schema forces a text without end",
        ),
        (False, "the JSON Schema is false: it matches nothing"),
        ([1], "the JSON Schema is not an object"),
    ],
)
def test_a_schema_is_refused_with_the_place_and_the_keyword(schema, says):
    """The place is a JSON pointer to the innermost schema, also behind a reference."""
    assert says in refusal(json_schema=json.dumps(schema))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{\n "a": tru\n}', "not JSON at line 2, column 7"),
        ('{"type" "object"}', "not JSON at line 1, column 9"),
        ("", "not JSON at line 1, column 1"),
        ('{"const": NaN}', "NaN is no number of JSON"),
        ("[" * 5000, "nested too deeply"),
        ('{"items":' * 300 + "{}" + "}" * 300, "too large or too complex"),
        ('{"const": "\\ud800"}', "not supported"),
        ('{"const": 1' + "0" * 5000 + "}", "not JSON"),
    ],
)
def test_what_is_not_json_is_refused_with_line_and_column(text, says):
    """And numbers, nesting and characters that JSON leaves open."""
    assert says in refusal(json_schema=text)


@pytest.mark.parametrize(
    ("regex", "says"),
    [
        ("a(b", "not valid at column 2: unclosed group"),
        ("(?=a)b", "not valid at column 1: look-around"),
        (r"(a)\1", "not valid at column 4: backreferences are not supported"),
        (r"\bfoo\b", r"look-around, and ^, $ and \b inside the expression, are not supported"),
        (r"[^\x00-\U0010ffff]", "the regular expression matches nothing"),
        ("a\ud800", "the regular expression has half of a character"),
    ],
)
def test_a_regular_expression_is_refused_with_the_column(regex, says):
    """In the words of its parser."""
    assert says in refusal(regex=regex)


@pytest.mark.parametrize(
    ("grammar", "says"),
    [
        ('start: "a" foo', 'not valid at line 1, column 8: unknown name: "foo"'),
        ("start: A\nA: /[/", "not valid at line 2, column 4: unclosed character class"),
        ('start: "a', "not valid at line 1, column 10: it cannot be read from here on"),
        ('x: "a"\n', "there is no rule start"),
        ('start: "a" <think>', "not supported at line 1, column 12: the token <think>"),
        ('start: "<a>" /<b>/ // <c>\n  <[7]>', "not supported at line 2, column 3: the token <[7]>"),
        ("start: A\nA: /a/ & /b/", "the grammar matches nothing"),
        ('start: "a" start', "the grammar forces a text without end"),
        ('start: %json {"type": "foo"}', "failed to compile JSON schema"),
    ],
)
def test_a_lark_grammar_is_refused_with_line_and_column(grammar, says):
    """Tokens are refused: the two models have different ones."""
    assert says in refusal(grammar=grammar)


def test_annotations_are_no_problem():
    """Keywords that state nothing about an instance, and those that JSON Schema does not know."""
    grammar_of(
        json_schema=json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$id": "https://x.example/y",
                "$comment": "c",
                "title": "t",
                "description": "d",
                "default": {},
                "examples": [1],
                "deprecated": True,
                "readOnly": True,
                "discriminator": {"propertyName": "kind"},
                "type": "object",
            }
        )
    )
