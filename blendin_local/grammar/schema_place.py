"""Where in a JSON Schema something is wrong, since llguidance does not say.

Here: `place_of`, which looks for the innermost schema that is refused in the same words.
Not here: what the words mean (`grammar.messages`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any

IN_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
IN_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
ALONE = (
    "items",
    "additionalProperties",
    "additionalItems",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
)
SHARED = ("$schema", "$id", "$defs", "definitions")
"""Keywords of the whole schema that its parts may need."""
MAX_SECONDS = 0.4
Schema = Mapping[str, Any]


def place_of(schema: Schema, problem_of: Callable[[Schema], str]) -> tuple[str, Schema]:
    """The JSON pointer of the innermost schema with the same problem, and that schema.

    Args:
        schema: A schema that has a problem.
        problem_of: What is wrong with a schema; empty if nothing is.
    """
    deadline = monotonic() + MAX_SECONDS
    problem = problem_of(schema)
    shared = {key: schema[key] for key in SHARED if key in schema}
    place, found = "", schema
    seen = {place}
    while True:
        for below, part in _parts(place, found, schema):
            if monotonic() > deadline:
                return place, found
            if below not in seen and problem_of({**shared, **part}) == problem:
                seen.add(below)
                place, found = below, part
                break
        else:
            return place, found


def _parts(place: str, schema: Schema, whole: Schema) -> Iterator[tuple[str, Schema]]:
    """The schemas directly inside of a schema, and the one that it refers to."""
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        target = _at(whole, reference[1:])
        if isinstance(target, Mapping):
            yield reference[1:], target
    for key, value in schema.items():
        for below, part in _values(key, value):
            if isinstance(part, Mapping):
                yield place + below, part


def _values(key: str, value: object) -> Iterator[tuple[str, object]]:
    if key in IN_MAPS and isinstance(value, Mapping):
        for name, part in value.items():
            yield f"/{escaped(key)}/{escaped(name)}", part
    elif key in IN_LISTS and isinstance(value, list):
        for i, part in enumerate(value):
            yield f"/{key}/{i}", part
    elif key in ALONE:
        yield f"/{key}", value


def _at(whole: Schema, pointer: str) -> object:
    """What a JSON pointer points to; None if there is nothing."""
    found: object = whole
    for name in pointer.split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 - the same name, unescaped
        if isinstance(found, list) and re.fullmatch("[0-9]{1,6}", name) and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, Mapping) and name in found:
            found = found[name]
        else:
            return None
    return found


def escaped(name: str) -> str:
    """A name as it stands in a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
