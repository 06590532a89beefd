"""Values of settings by name, from files.

Here: `to_settings` and `require_types`.
Not here: how one setting is declared and read (`settings.setting`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blendin_local.settings.setting import Setting, has_type, settings_of


def to_settings(values: Mapping[str, Any], known: Mapping[str, Setting]) -> dict[str, Any]:
    """Fields of settings from named values; None means not set."""
    given = {name: value for name, value in values.items() if name in known and value is not None}
    return {known[name].field: known[name].from_file(value) for name, value in given.items()}


def require_types(table: type, values: Mapping[str, Any]) -> None:
    """Raise TypeError unless values from a file have the types that a settings class has.

    Args:
        table: A settings class.
        values: Some of its fields.
    """
    known = {each.field: each for each in settings_of(table)}
    for name, value in values.items():
        each = known[name]
        if value is None:
            right = each.nullable
        elif each.kind in {"number", "count"}:
            right = isinstance(value, int | float) and not isinstance(value, bool)
            right = right or (isinstance(value, str) and value in each.words.values())
        elif each.kind in {"texts", "numbers"}:
            right = isinstance(value, tuple) and has_type(each.kind, value)
        else:
            right = isinstance(value, bool if each.kind == "switch" else str)
        if not right:
            raise TypeError(f"{name} is {value!r:.40}")
