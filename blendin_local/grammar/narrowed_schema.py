"""A JSON Schema without the room in which models lose themselves: further properties, endless numbers.

Here: `narrowed`.
Not here: reading a schema (`grammar.definition`), llguidance's grammar of it (`grammar.reading`).
Source: llama.cpp's converter does the same. JSON Schema allows any further property where nothing forbids it,
and a model that has written what was asked for goes on with inventions. A number that has begun with zeros
may go on with zeros to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from blendin_local.grammar.schema_place import ALONE, IN_LISTS, IN_MAPS

Schema = Mapping[str, Any]
SEVERAL = ("allOf", "if", "not", "dependentSchemas", "$dynamicRef", "unevaluatedProperties")
"""Keywords by which several schemas describe one value."""
BESIDE = ("anyOf", "oneOf", "$ref")
"""Keywords that do so where the same schema lists properties, too."""
LARGEST = 2**53 - 1
"""The largest integer that every program reads exactly (RFC 8259, section 6); it has 16 digits."""
SMALLEST_FRACTION = 1e-9
"""The step of a number that is no integer, which ends its fraction after 9 digits."""
OBJECT = ("properties", "required", "patternProperties", "additionalProperties", "minProperties")


def narrowed(schema: Schema) -> Schema:
    """The schema with no further properties, and numbers of a few digits.

    What matches the result matches the schema, too. An object stays open where the schema says what other
    properties are, or needs more than it lists; a number keeps a bound that the schema gives. Objects all
    stay open where several parts of the schema describe one value together, since each would forbid the
    properties of the others.

    Args:
        schema: A JSON Schema; it is not changed.
    """
    together = any(map(_describes_together, _parts(schema)))
    found: Schema = _mapped(schema, _bounded if together else lambda part: _closed(_bounded(part)))
    return found


def _describes_together(part: Schema) -> bool:
    if any(key in part for key in SEVERAL):
        return True
    n_beside = sum(key in part for key in BESIDE)
    return n_beside > 1 or (n_beside == 1 and any(key in part for key in OBJECT))


def _bounded(part: Schema) -> Schema:
    """A number's schema with bounds on both sides, and an end to its fraction."""
    types = part["type"] if isinstance(part.get("type"), list) else [part.get("type")]
    if "enum" in part or "const" in part or not {"integer", "number"} & set(map(str, types)):
        return part
    low = {} if {"minimum", "exclusiveMinimum"} & set(part) else {"minimum": -LARGEST}
    high = {} if {"maximum", "exclusiveMaximum"} & set(part) else {"maximum": LARGEST}
    fraction = {"multipleOf": SMALLEST_FRACTION} if "number" in types and "multipleOf" not in part else {}
    return {**part, **low, **high, **fraction}


def _closed(part: Schema) -> Schema:
    """An object's schema with no room for others than those it lists, unless it needs some."""
    listed, required = part.get("properties"), part.get("required", [])
    if not isinstance(listed, Mapping) or "additionalProperties" in part or "patternProperties" in part:
        return part
    needed = part.get("minProperties", 0)
    if not isinstance(required, list) or not set(map(str, required)) <= set(listed) or needed > len(listed):
        return part
    return {**part, "additionalProperties": False}


def _inside(key: str, value: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """What may be schemas in the value of a keyword."""
    if key in IN_MAPS and isinstance(value, Mapping):
        yield from value.values()
    elif key in IN_LISTS and isinstance(value, list):
        yield from value
    elif key in ALONE:
        yield value


def _parts(schema: Any) -> Iterator[Schema]:  # noqa: ANN401 - any JSON
    """A schema and all schemas in it."""
    if isinstance(schema, Mapping):
        yield schema
        for key, value in schema.items():
            for part in _inside(key, value):
                yield from _parts(part)


def _mapped(schema: Any, change: Callable[[Schema], Schema]) -> Any:  # noqa: ANN401 - any JSON
    """A schema with every schema in it changed, from the inside out."""
    if not isinstance(schema, Mapping):
        return schema
    found = dict(schema)
    for key, value in schema.items():
        if key in IN_MAPS and isinstance(value, Mapping):
            found[key] = {name: _mapped(part, change) for name, part in value.items()}
        elif key in IN_LISTS and isinstance(value, list):
            found[key] = [_mapped(part, change) for part in value]
        elif key in ALONE:
            found[key] = _mapped(value, change)
    return change(found)
