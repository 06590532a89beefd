"""What a models.toml that merely lies in the working directory may do: add names, and no more without a yes.

Here: what such a file changes of that which the user's files and the shipped one say, and who decides.
Not here: how files are merged (`models.registry`), what is fetched for such a file (`models.local`).
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
SHARED = ("models", "pairs")  # a pair and a model are named in the same places
MOST_TOLD = 4


@dataclass(frozen=True, slots=True)
class Changes:
    """What a models.toml of the working directory would change.

    Attributes:
        file: That file.
        values: `[section.name].key` of each value.
    """

    file: Path
    values: tuple[str, ...]

    def __str__(self) -> str:
        more = len(self.values) - MOST_TOLD
        told = ", ".join(self.values[:MOST_TOLD]) + (f" and {more} more" if more > 0 else "")
        return f"{self.file} changes what your own names mean: {told}"


Accept = Callable[[Changes], bool]


def changes(merged: Tables, own: Tables) -> tuple[str, ...]:
    """The values that differ from what they are without the file of the working directory.

    Args:
        merged: The tables of all files.
        own: The tables of all files but that one.
    """
    found: list[str] = []
    for name, table in merged.items():
        if not _is_taken(name, own):
            continue
        known = own.get(name, {})
        keys = [*table, *(key for key in known if key not in table)]
        found += [_told(name, key) for key in keys if key not in table or known.get(key) != table[key]]
    return tuple(found)


def only_new(content: Table, own: Tables) -> Table:
    """What a file says about names that no other file has."""
    sections = {section: tables for section, tables in content.items() if isinstance(tables, Mapping)}
    return {
        section: {name: table for name, table in tables.items() if not _is_taken((section, name), own)}
        for section, tables in sections.items()
        if section != "defaults"
    }


def accepted(file: Path, values: tuple[str, ...], accept: Accept | None) -> bool:
    """Whether the changes are wanted.

    Raises:
        UsageError: Nobody can be asked.
    """
    found = Changes(file, values)
    if accept is None:
        raise UsageError(str(found), "if you trust that file, name it with --models or BLENDIN_MODELS")
    return accept(found)


def _is_taken(name: Name, own: Tables) -> bool:
    """Whether a name means something without the file of the working directory."""
    section, entry = name
    if section == "defaults" or name in own:
        return True
    return section in SHARED and (not is_bare(entry) or any((other, entry) in own for other in SHARED))


def _told(name: Name, key: str) -> str:
    return f"[{'.'.join(filter(None, name))}].{key}"
