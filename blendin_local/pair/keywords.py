"""A misspelt keyword argument of the Python API is our error, and names the nearest one.

Here: `checked_keywords`, a decorator that leaves the signature as it is for type checkers and for `help()`.
Not here: the functions that take it (`pair.resolve`, `pair.pair`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, get_args, get_type_hints

from blendin_local.errors import UsageError
from blendin_local.models.schema import nearest
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings, settings_of

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
SETTINGS: dict[str, type] = {"blend": BlendSettings, "sampling": SamplingSettings, "answer": AnswerSettings}


def checked_keywords(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Make calls with an unknown keyword argument raise `UsageError` instead of TypeError."""

    @functools.wraps(function)
    def checked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        known = _keywords(function)
        for name in kwargs:
            if name not in known:
                message = f"{function.__name__}() has no argument {name!r:.60}"
                raise UsageError(message, unknown_name_hint(name, known))
        return function(*args, **kwargs)

    return checked


@functools.cache
def _keywords(function: Callable[..., Any]) -> tuple[str, ...]:
    """The keywords a function takes, those of an unpacked TypedDict included."""
    names: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            (fields,) = get_args(get_type_hints(function)[name])
            names += fields.__annotations__
        elif name != "self" and parameter.kind in {
            inspect.Parameter.KEYWORD_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        }:
            names.append(name)
    return tuple(names)


def unknown_name_hint(name: str, known: tuple[str, ...]) -> str:
    """The nearest known name, or the settings object that has the nearest field."""
    close = nearest(name, known, 1)
    fields = {each.field: part for part in SETTINGS if part in known for each in settings_of(SETTINGS[part])}
    field = nearest(name, fields, 1)
    if close and not (field and field[0] == name):
        return f"did you mean {close[0]}?"
    if field:
        part = fields[field[0]]
        return f"did you mean {part}={SETTINGS[part].__name__}({field[0]}=...)?"
    return f"it takes {', '.join(known)}"
