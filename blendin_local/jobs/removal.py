"""What `blendin rm` takes away: downloaded models, and downloads that were begun.

Here: `plan_removal`, `remove`; `unfinished`, `remove_unfinished`.
Not here: which models there are (`jobs.inventory`), the question before it (`cli.manage`).
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blendin_local.errors import ModelNotFoundError, UsageError
from blendin_local.jobs.inventory import files_of, pairs_with
from blendin_local.models.other_tools.find import other_models
from blendin_local.models.references import Resolved, resolve
from blendin_local.models.registry import Registry
from blendin_local.models.store import Store


@dataclass(frozen=True, slots=True)
class Removal:
    """What `rm` would take away.

    Attributes:
        files: The files, parts of split models included.
        size: Bytes that become free.
        pairs: Pairs that can then not be used without fetching again.
    """

    files: tuple[Path, ...]
    size: int
    pairs: tuple[str, ...]


def plan_removal(references: Sequence[str], registry: Registry, store: Store) -> Removal:
    """What removing models would free.

    Raises:
        ModelNotFoundError: One of them is not here.
        UsageError: One of them was not fetched by this program, so it is not its to remove.
    """
    found = (resolve(name, registry, store=store, offline=False, check=False) for name in references)
    unique = tuple(dict.fromkeys(file for resolved in found for file in _owned_files(resolved, store)))
    used = dict.fromkeys(pair for reference in references for pair in pairs_with(reference, registry))
    return Removal(unique, sum(path.stat().st_size for path in unique), tuple(used))


def remove(removal: Removal, store: Store) -> None:
    """Take the files away, and directories that become empty with them; never through a link."""
    for path in removal.files:
        store.forget_checksum(path)
        store.inside(path).unlink(missing_ok=True)
        folder = path.parent
        while store.owns(folder):
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()
            folder = folder.parent


def unfinished(store: Store) -> int:
    """Bytes of downloads that were begun and not finished."""
    return sum(path.lstat().st_size for path in (store.root / "unfinished").rglob("*") if not path.is_dir())


def remove_unfinished(store: Store) -> None:
    """Drop all downloads that were begun and not finished."""
    shutil.rmtree(store.inside(store.root / "unfinished"), ignore_errors=True)


def _owned_files(resolved: Resolved, store: Store) -> list[Path]:
    if resolved.path is None:
        raise ModelNotFoundError(f"{resolved.reference} is not on this machine", "blendin ls shows what is")
    if not store.owns(resolved.path):
        if tool := resolved.tool or _tool_of(resolved.path):
            raise UsageError(
                f"{resolved.reference} belongs to {tool}, and blendin removes nothing there",
                f"remove it with {tool}",
            )
        raise UsageError(
            f"{resolved.path} was not fetched by blendin, so it does not remove it",
            "delete the file yourself",
        )
    return [store.inside(file) for file in files_of(resolved.path)]


def _tool_of(path: Path) -> str:
    """The program that keeps a file; empty if none is known to."""
    return next((model.tool for model in other_models() if model.path == path), "")
