"""Keyword arguments of the Python API: single settings, and an error of ours for a misspelt name.

Here: `with_keywords`, which turns `max_tokens=64` into settings; `checked_keywords`, a decorator that leaves
the signature as it is for type checkers and for `help()`.
Not here: the functions that take them (`pair.resolve`, `pair.pair`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypedDict, TypeVar, get_args, get_type_hints

from blendin_local.decode.request import GenerationSettings
from blendin_local.errors import UsageError
from blendin_local.grammar.compilation import require_form
from blendin_local.models.schema import nearest
from blendin_local.settings import (
    AnswerSettings,
    BlendSettings,
    SamplingSettings,
    Setting,
    of_one_form,
    settings_of,
    settings_on,
    to_settings,
)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
SETTINGS: dict[str, type] = {"blend": BlendSettings, "sampling": SamplingSettings, "answer": AnswerSettings}


class SettingKeywords(TypedDict, total=False):
    """Single settings of an answer, by the names that rows of a batch use; None means: not given.

    A test compares this with the table of settings. It is written out for type checkers and editors, which
    cannot see what is made while a program runs.
    """

    method: str | None
    threshold: float | None
    alpha: float | str | None
    agreement_bonus: float | None
    top_k_blend: int | None
    cap: float | None
    filter_top_k: int | None
    bridge: str | None
    gate: str | None
    always_first: int | None
    combine: str | None
    dial: float | None
    margin: float | None
    proxy_weight: float | None
    guide_weight: Sequence[float] | str | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    seed: int | str | None
    search: str | None
    repeat_penalty: float | None
    repeat_last_n: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    dry_multiplier: float | None
    dry_base: float | None
    dry_allowed_length: int | None
    dry_penalty_last_n: int | None
    dry_sequence_breaker: str | Sequence[str] | None
    max_tokens: int | str | None
    stop: str | Sequence[str] | None
    loop_guard: bool | None
    json_schema: str | Mapping[str, Any] | None
    regex: str | None
    grammar: str | None
    schema_in_prompt: bool | None
    top_logprobs: int | None
    draft: str | None


def with_keywords(settings: GenerationSettings, values: Mapping[str, Any]) -> GenerationSettings:
    """Settings with some of them replaced, by the names that rows of a batch use.

    Args:
        settings: The settings.
        values: Values by name, as in `SettingKeywords`.

    Raises:
        UsageError: A value is wrong.
    """
    known = {part: settings_on("row", table) for part, table in SETTINGS.items()}
    return replace(
        settings,
        **{part: _with_fields(getattr(settings, part), names, values) for part, names in known.items()},
    )


def _with_fields(
    part: Any,  # noqa: ANN401 - any settings class
    names: Mapping[str, Setting],
    values: Mapping[str, Any],
) -> Any:  # noqa: ANN401 - as its argument
    given = {
        name: [value] if isinstance(value, str) and names[name].kind == "texts" else value
        for name, value in values.items()
        if name in names
    }
    if not given:
        return part
    changed = replace(part, **of_one_form(to_settings(given, names)))
    if isinstance(changed, AnswerSettings):
        require_form(changed)
    return changed


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
