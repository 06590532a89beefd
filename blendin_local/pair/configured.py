"""The settings of a pair: what was asked for, then the pair's of models.toml, then its `[defaults]`.

Here: `configured`, `settings_with` and `model_settings`.
Not here: which pair is meant (`pair.resolve`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from blendin_local.core.roles import Role
from blendin_local.errors import UsageError
from blendin_local.models.entries import Defaults, PairEntry
from blendin_local.models.schema import model_keys, nearest
from blendin_local.settings import ModelSettings, Setting, settings_of, to_settings

SettingsClass = TypeVar("SettingsClass")


def configured(
    keys: Mapping[str, Setting], sections: Sequence[PairEntry | Defaults | None]
) -> dict[str, Any]:
    """The fields among these keys that models.toml sets; an earlier section takes precedence."""
    values: dict[str, Any] = {}
    for section in reversed(sections):
        values |= section.settings if section else {}
    return to_settings(values, keys)


def settings_with(
    table: type[SettingsClass], configured: Mapping[str, Any], given: SettingsClass | Mapping[str, Any]
) -> SettingsClass:
    """Settings from models.toml and the request; the request takes precedence.

    Raises:
        UsageError: A field does not exist or has a wrong value.
    """
    if isinstance(given, table):
        return given
    fields = {each.field: each for each in settings_of(table)}
    asked: dict[str, Any] = dict(cast("Mapping[str, Any]", given))
    for name, value in asked.items():
        if name not in fields:
            close = nearest(name, fields, 1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(fields)}"
            raise UsageError(f"{table.__name__} has no field {name!r}", hint)
        asked[name] = fields[name].from_file(value)
    return table(**{**configured, **asked})


def model_settings(
    given: ModelSettings | Mapping[str, Any], sections: Sequence[PairEntry | Defaults | None], role: Role
) -> ModelSettings:
    """How llama.cpp runs one model."""
    of_role = configured(model_keys(), sections) | configured(model_keys(role), sections)
    return settings_with(ModelSettings, of_role, given)
