"""Settings out of models.toml, completed by what was asked for.

Here: `configured`, `settings_from` and `model_settings`.
Not here: which pair is meant (`pair.resolve`), the keys of models.toml (`models.schema`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from blendin_local.core.methods import Role
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


def settings_from(
    table: type[SettingsClass], found: Mapping[str, Any], given: SettingsClass | Mapping[str, Any]
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
    return table(**{**found, **asked})


def model_settings(
    given: ModelSettings | Mapping[str, Any],
    sections: Sequence[PairEntry | Defaults | None],
    role: Role,
    named: str | None,
) -> ModelSettings:
    """Those of a role; what the pair sets for its own model alone does not hold for another that is named."""
    keys = [model_keys(), model_keys(role)]
    if named:
        keys = [{key: each for key, each in named_keys.items() if not each.of_pair} for named_keys in keys]
    found = configured(keys[0], sections) | configured(keys[1], sections)
    return settings_from(ModelSettings, found, given)
