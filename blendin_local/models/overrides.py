"""Values that the models.toml of the working directory overrides; without consent it may only add names.

Here: finding the values that such a file changes, asking about them, and leaving them out.
Not here: merging files (`models.registry`), downloads that such a file asks for (`models.fetch`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.models.grammar import is_bare

Table = Mapping[str, Any]
Name = tuple[str, str]  # section, entry; the entry of [defaults] is empty
Tables = Mapping[Name, Table]
SHARED_NAMES = ("models", "pairs")  # sections whose names are used in the same places
MAX_LISTED = 4


@dataclass(frozen=True, slots=True)
class Overrides:
    """The values that the models.toml of the working directory would change.

    Attributes:
        file: The file.
        values: `[section.name].key` of each value.
    """

    file: Path
    values: tuple[str, ...]

    def __str__(self) -> str:
        more = len(self.values) - MAX_LISTED
        listed = ", ".join(self.values[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
        return f"{self.file} changes what your own names mean: {listed}"


Accept = Callable[[Overrides], bool]


def find_overrides(merged: Tables, own: Tables) -> tuple[str, ...]:
    """List the values that differ because of the file of the working directory.

    Args:
        merged: The tables of all files.
        own: The tables of all other files.

    Returns:
        `[section.name].key` of each value.
    """
    found: list[str] = []
    for name, table in merged.items():
        if not _is_taken(name, own):
            continue
        known = own.get(name, {})
        keys = [*table, *(key for key in known if key not in table)]
        found += [_key_name(name, key) for key in keys if key not in table or known.get(key) != table[key]]
    return tuple(found)


def keep_new_names(content: Table, own: Tables) -> Table:
    """Return the part of a file about names that no other file has."""
    sections = {section: tables for section, tables in content.items() if isinstance(tables, Mapping)}
    return {
        section: {name: table for name, table in tables.items() if not _is_taken((section, name), own)}
        for section, tables in sections.items()
        if section != "defaults"
    }


def confirm(file: Path, values: tuple[str, ...], accept: Accept | None) -> bool:
    """Ask whether the values may be changed.

    Raises:
        UsageError: Nobody can be asked.
    """
    found = Overrides(file, values)
    if accept is None:
        raise UsageError(str(found), "if you trust that file, name it with --models or BLENDIN_MODELS")
    return accept(found)


def _is_taken(name: Name, own: Tables) -> bool:
    """Whether a name has a meaning without the file of the working directory."""
    section, entry = name
    if section == "defaults" or name in own:
        return True
    return section in SHARED_NAMES and (
        not is_bare(entry) or any((other, entry) in own for other in SHARED_NAMES)
    )


def _key_name(name: Name, key: str) -> str:
    return f"[{'.'.join(filter(None, name))}].{key}"
