"""What a user types for a model, turned into a local file or into what would have to be fetched.

Here: the grammar of references, and `resolve`, which never opens a connection.
Not here: fetching (`models.fetch`), names and pairs (`models.registry`).
Grammar, in order: an existing path; an alias; `hf://user/repo[@revision]/file.gguf`; `user/repo[:QUANT]`.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from blendin_local.engine.gguf.header import check_whole_file
from blendin_local.errors import FetchError, ModelNotFoundError
from blendin_local.models.entries import HubSource, ModelEntry, PathSource, Source
from blendin_local.models.grammar import is_model_path, is_repo, is_revision
from blendin_local.models.hub import cached_file
from blendin_local.models.quantizations import choose
from blendin_local.models.registry import FILE_NAME, Registry, looks_like_path
from blendin_local.models.schema import nearest
from blendin_local.models.store import Store
from blendin_local.paths import from_home

_HUB_FILE = re.compile(
    r"hf://(?P<repo>[^/@\s]+/[^/@\s]+)(?:@(?P<revision>[^/\s]+))?/(?P<file>.+\.gguf)", re.I
)
_HUB_REPO = re.compile(
    r"(?:hf\.co/|huggingface\.co/|hf://)?(?P<repo>[\w.-]+/[\w.-]+?)(?::(?P<quant>[\w.-]+))?", re.I
)
TRUE_WORDS = frozenset({"1", "on", "yes", "true"})


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference means.

    Attributes:
        reference: What the user typed.
        path: The local file; None where it would have to be fetched.
        entry: The entry of models.toml, or one made up for a hub reference; None for a plain path.
        source: What would be fetched; None where nothing can be.
        command: The command that fetches it.
        distrusted: The models.toml of the working directory, where it is that which wants the file fetched.
    """

    reference: str
    path: Path | None
    entry: ModelEntry | None = None
    source: Source | None = None
    command: str = ""
    distrusted: Path | None = None

    @property
    def trusted(self) -> bool:
        """Whether the user or the program names what would be fetched."""
        return self.distrusted is None

    @property
    def fetchable(self) -> bool:
        """Whether the file could be fetched."""
        return self.source is not None


def is_offline(flag: bool, env: Mapping[str, str] | None = None) -> bool:
    """Whether the network must not be touched: by the option, or by the hub's own variables."""
    values = os.environ if env is None else env
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "BLENDIN_OFFLINE")
    return flag or any(values.get(name, "").lower() in TRUE_WORDS for name in names)


def resolve(
    reference: str,
    registry: Registry,
    *,
    store: Store,
    offline: bool,
    check: bool = True,
    distrusted: Path | None = None,
) -> Resolved:
    """Find the file that a reference means, without touching the network.

    Args:
        reference: A path, an alias, `hf://user/repo/file.gguf` or `user/repo[:QUANT]`.
        registry: The names.
        store: Where fetched files lie.
        offline: Whether something that is not here is an error at once.
        check: Whether a file with a known size and checksum is checked (`pull` repairs instead).
        distrusted: The models.toml of the working directory, where one of its pairs brings in the reference.

    Raises:
        ModelNotFoundError: Nothing has that name, or it is not here and must not be fetched.
        FetchError: The file is here but is not the one its entry describes.
        LoadError: The path leads to a directory, an empty file, or something that is no GGUF.
    """
    path = from_home(reference)
    entry = registry.models.get(reference)
    if os.path.isfile(path) or (entry is None and stat.S_ISDIR(_mode(path))):  # an alias needs no look
        check_whole_file(path)
        return Resolved(reference, path)
    if entry is None:
        source = parse_hub_reference(reference)
        entry = None if source is None else ModelEntry(reference, (source,))
    if entry is None:
        raise _not_found(reference, path, registry)
    if not entry.trusted:
        distrusted = registry.untrusted or Path(FILE_NAME)
    resolved = replace(_of_entry(reference, entry, store, check), distrusted=distrusted)
    if resolved.path is None and not resolved.fetchable:
        raise _no_file(resolved, entry)
    if resolved.path is None and offline:
        raise ModelNotFoundError(
            f"{reference} is not on this machine, and the program is offline",
            f"online, run: {resolved.command}",
        )
    return resolved


def parse_hub_reference(reference: str) -> HubSource | None:
    """The hub file or repository that a reference names, or None where it is none."""
    if match := _HUB_FILE.fullmatch(reference):
        repo, file, revision = match["repo"], match["file"], match["revision"] or ""
        fits = is_repo(repo) and is_model_path(file) and (not revision or is_revision(revision))
        return HubSource(repo, file=file, revision=revision) if fits else None
    if looks_like_path(reference):
        return None
    match = _HUB_REPO.fullmatch(reference.replace("@", ":"))
    if match and is_repo(match["repo"]):
        return HubSource(match["repo"], quant=match["quant"] or "")
    return None


def _as_path(reference: str) -> Path:
    try:
        return Path(reference).expanduser()
    except RuntimeError:  # no such user
        return Path(reference)


def _of_entry(reference: str, entry: ModelEntry, store: Store, check: bool) -> Resolved:
    command = f"blendin pull {shlex.quote(reference)}"
    for source in entry.sources:
        path = local_file(source, store)
        if path is None:
            continue
        if check:
            _check_entry_file(path, entry, store, command)
        return Resolved(reference, path, entry, _fetchable(entry), command)
    return Resolved(reference, None, entry, _fetchable(entry), command)


def local_file(source: Source, store: Store) -> Path | None:
    """The file of a source where it is on this machine: in the store, or in the hub's own cache."""
    named = source if not isinstance(source, HubSource) or source.file else replace(source, file="x")
    try:
        path = store.place(named)
    except FetchError:  # a link leads out of the store: what is there is not the store's
        return None
    if not isinstance(source, HubSource):
        return path if stat.S_ISREG(_mode(path)) else None
    folder = store.place(replace(source, file="x")).parent
    here = {file.relative_to(folder).as_posix(): file for file in store.files(folder)}
    if source.file in here:
        return here[source.file]
    if not source.file:
        return _best(here, source)
    cached = cached_file(source)
    return Path(cached) if cached else None


def _mode(path: Path) -> int:
    """The kind of file there, 0 for none; PermissionError where nobody may look."""
    try:
        return os.stat(path).st_mode
    except PermissionError:
        raise
    except (OSError, ValueError):  # not there, too long, or no path at all
        return 0


def _best(here: Mapping[str, Path], source: HubSource) -> Path | None:
    """The fetched file that a repository without a file name stands for."""
    try:
        return here[choose(here, source.quant, source.repo)]
    except ModelNotFoundError:
        return None


def _fetchable(entry: ModelEntry) -> Source | None:
    return next((source for source in entry.sources if not isinstance(source, PathSource)), None)


def _check_entry_file(path: Path, entry: ModelEntry, store: Store, command: str) -> None:
    check_whole_file(path)
    if fault := store.fault(path, entry.size, entry.sha256):
        hint = f"fetch it again with: {command}" if store.owns(path) else "correct its entry in models.toml"
        raise FetchError(fault, hint)


def _no_file(resolved: Resolved, entry: ModelEntry) -> ModelNotFoundError:
    paths = ", ".join(str(source.path) for source in entry.sources if isinstance(source, PathSource))
    return ModelNotFoundError(
        f"{resolved.reference} is named in models.toml, but its file is not there: {paths}",
        f"blendin show {shlex.quote(entry.name)} --origin says where the path comes from",
    )


def _not_found(reference: str, path: Path, registry: Registry) -> ModelNotFoundError:
    if looks_like_path(reference):
        try:
            there = [other.name for other in path.parent.iterdir() if other.suffix.lower() == ".gguf"]
        except (OSError, ValueError):
            return ModelNotFoundError(
                f"there is no directory {path.parent}, named in {reference}", "check the path"
            )
        near = nearest(path.name, there)
        hint = f"in that directory: {', '.join(near)}" if near else "check the path"
        return ModelNotFoundError(f"there is no file {reference}", hint)
    if reference in registry.pairs:
        return ModelNotFoundError(
            f"{reference} is a pair, not a model", f"use --pair {reference}, or one of its models"
        )
    near = nearest(reference, registry.models)
    hint = f"did you mean {' or '.join(near)}?" if near else "blendin ls --all shows the names there are"
    return ModelNotFoundError(f"there is no model {reference!r}", hint)
