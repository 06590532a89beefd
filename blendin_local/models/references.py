"""Model references: what a user types for a model, resolved to a local file or to a download.

Here: the syntax of references, and `resolve`, which never opens a connection.
Not here: downloading (`models.fetch`), names and pairs (`models.registry`).
Syntax, in order: an existing path; an alias; a file of another program, such as `ollama:llama3.2:3b`;
`hf://user/repo[@revision]/file.gguf`; `user/repo[:QUANT]`.
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
from blendin_local.errors import FetchError, LoadError, ModelNotFoundError
from blendin_local.models.config_file import looks_like_path
from blendin_local.models.entries import HubSource, ModelEntry, PathSource, Source
from blendin_local.models.grammar import is_model_path, is_repo, is_revision
from blendin_local.models.hub import cached_file
from blendin_local.models.names import suggestion
from blendin_local.models.other_tools.find import cached_files_of, find_other
from blendin_local.models.other_tools.found import tool_of
from blendin_local.models.quantizations import choose
from blendin_local.models.registry import FILE_NAME, Registry
from blendin_local.models.schema import nearest
from blendin_local.models.store import Store
from blendin_local.paths import expand_user

_HUB_FILE = re.compile(
    r"hf://(?P<repo>[^/@\s]+/[^/@\s]+)(?:@(?P<revision>[^/\s]+))?/(?P<file>.+\.gguf)", re.I
)
_HUB_REPO = re.compile(
    r"(?:hf\.co/|huggingface\.co/|hf://)?(?P<repo>[\w.-]+/[\w.-]+?)(?::(?P<quant>[\w.-]+))?", re.I
)
LISTING_HINT = "blendin ls --all lists the names"
TRUE_VALUES = frozenset({"1", "on", "yes", "true"})


@dataclass(frozen=True, slots=True)
class Resolved:
    """A resolved reference.

    Attributes:
        reference: What the user typed.
        path: The local file; None if it would have to be downloaded.
        entry: The entry of models.toml, or a new one for a Hub reference; None for a plain path.
        source: Where it can be downloaded; None if nowhere.
        command: The command that downloads it.
        distrusted: The models.toml of the working directory, if that file asks for the download.
        tool: The other program that keeps the file; empty if it is this program's or the user's.
    """

    reference: str
    path: Path | None
    entry: ModelEntry | None = None
    source: Source | None = None
    command: str = ""
    distrusted: Path | None = None
    tool: str = ""

    @property
    def trusted(self) -> bool:
        """Whether the download is named by the user or the program."""
        return self.distrusted is None

    @property
    def fetchable(self) -> bool:
        """Whether the file can be downloaded."""
        return self.source is not None


def is_offline(flag: bool, env: Mapping[str, str] | None = None) -> bool:
    """Whether the network must not be used: by the option, or by an environment variable."""
    values = os.environ if env is None else env
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "BLENDIN_OFFLINE")
    return flag or any(values.get(name, "").lower() in TRUE_VALUES for name in names)


def resolve(
    reference: str,
    registry: Registry,
    *,
    store: Store,
    offline: bool,
    check: bool = True,
    distrusted: Path | None = None,
    opening: bool = False,
) -> Resolved:
    """Find the file of a reference without using the network.

    Args:
        reference: A path, an alias, `TOOL:NAME`, `hf://user/repo/file.gguf` or `user/repo[:QUANT]`.
        registry: The names.
        store: The cache.
        offline: Whether a missing file is an error at once.
        check: Whether a known size and checksum are compared (`pull` downloads again instead).
        distrusted: The models.toml of the working directory, if one of its pairs gives the reference.
        opening: Whether the reference was given with `--base` or the like, so that a pair needs `--pair`.

    Returns:
        The local file, or where it can be downloaded.

    Raises:
        ModelNotFoundError: There is no such name, or the file is missing and must not be downloaded.
        FetchError: The file exists but does not match its entry.
        LoadError: The path is a directory, an empty file, or not a GGUF file.
    """
    path = expand_user(reference)
    entry = registry.models.get(reference)
    if os.path.isfile(path) or (entry is None and stat.S_ISDIR(_mode(path))):  # an alias hides a directory
        check_whole_file(path)
        return Resolved(reference, path)
    if entry is None and tool_of(reference):
        return _of_other_tool(reference, registry, opening=opening)
    if entry is None:
        source = parse_hub_reference(reference)
        entry = None if source is None else ModelEntry(reference, (source,))
    if entry is None:
        raise _not_found(reference, path, registry, opening=opening)
    if not entry.trusted:
        distrusted = registry.untrusted or Path(FILE_NAME)
    resolved = replace(_resolve_entry(reference, entry, store, check), distrusted=distrusted)
    if resolved.path is None and not resolved.fetchable:
        raise _no_file(resolved, entry)
    if resolved.path is None and offline:
        raise ModelNotFoundError(
            f"{reference} is not on this machine, and downloads are off (offline)",
            f"with a network, run: {resolved.command}",
        )
    return resolved


def parse_hub_reference(reference: str) -> HubSource | None:
    """Parse a reference to a Hub file or repository; None if it is neither."""
    if match := _HUB_FILE.fullmatch(reference):
        repo, file, revision = match["repo"], match["file"], match["revision"] or ""
        valid = is_repo(repo) and is_model_path(file) and (not revision or is_revision(revision))
        return HubSource(repo, file=file, revision=revision) if valid else None
    if looks_like_path(reference):
        return None
    match = _HUB_REPO.fullmatch(reference.replace("@", ":"))
    if match and is_repo(match["repo"]):
        return HubSource(match["repo"], quant=match["quant"] or "")
    return None


def _resolve_entry(reference: str, entry: ModelEntry, store: Store, check: bool) -> Resolved:
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
    """Return a source's file if it is on this machine: in the cache, or in that of Hugging Face."""
    named = source if not isinstance(source, HubSource) or source.file else replace(source, file="x")
    try:
        path = store.path_of(named)
    except FetchError:  # a link leads outside the cache
        return None
    if not isinstance(source, HubSource):
        return path if stat.S_ISREG(_mode(path)) else None
    folder = store.path_of(replace(source, file="x")).parent
    available = {file.relative_to(folder).as_posix(): file for file in store.files(folder)}
    if source.file in available:
        return available[source.file]
    if not source.file:
        return _best(available, source) or _best(_shared_files(source), source)
    cached = cached_file(source)
    return Path(cached) if cached else None


def _mode(path: Path) -> int:
    """The mode of the file at a path, 0 if there is none; PermissionError if access is denied."""
    try:
        return os.stat(path).st_mode
    except PermissionError:
        raise
    except (OSError, ValueError):  # missing, too long, or not a path
        return 0


def _best(available: Mapping[str, Path], source: HubSource) -> Path | None:
    """The downloaded file that matches a repository's quantization."""
    try:
        return available[choose(available, source.quant, source.repo)]
    except ModelNotFoundError:
        return None


def _shared_files(source: HubSource) -> Mapping[str, Path]:
    """The files of a repository in the cache of Hugging Face, into which newer llama.cpp downloads too."""
    return {} if source.revision else cached_files_of(source.repo)


def _of_other_tool(reference: str, registry: Registry, *, opening: bool) -> Resolved:
    model, tool = find_other(reference), tool_of(reference)
    if model is None:
        hint = suggestion(reference, registry, asked_for="model", options=opening)
        name = reference.partition(":")[2]
        raise ModelNotFoundError(f"{tool} has no model {name!r} on this machine", hint or LISTING_HINT)
    if model.problem or model.path is None:
        raise LoadError(
            f"{reference} cannot be used: {model.problem}", f"{tool} keeps it; blendin does not change it"
        )
    return Resolved(reference, model.path, tool=tool)


def _fetchable(entry: ModelEntry) -> Source | None:
    return next((source for source in entry.sources if not isinstance(source, PathSource)), None)


def _check_entry_file(path: Path, entry: ModelEntry, store: Store, command: str) -> None:
    check_whole_file(path)
    if fault := store.mismatch(path, entry.size, entry.sha256):
        hint = (
            f"download it again with: {command}" if store.owns(path) else "correct its entry in models.toml"
        )
        raise FetchError(fault, hint)


def _no_file(resolved: Resolved, entry: ModelEntry) -> ModelNotFoundError:
    paths = ", ".join(str(source.path) for source in entry.sources if isinstance(source, PathSource))
    return ModelNotFoundError(
        f"{resolved.reference} is in models.toml, but its file does not exist: {paths}",
        f"to see which models.toml sets the path, run: blendin show {shlex.quote(entry.name)} --origin",
    )


def _not_found(reference: str, path: Path, registry: Registry, *, opening: bool) -> ModelNotFoundError:
    if looks_like_path(reference):
        try:
            names = [other.name for other in path.parent.iterdir() if other.suffix.lower() == ".gguf"]
        except (OSError, ValueError):
            return ModelNotFoundError(
                f"there is no directory {path.parent} (from {reference})", "check the path"
            )
        near = nearest(path.name, names)
        hint = f"in that directory: {', '.join(near)}" if near else "check the path"
        return ModelNotFoundError(f"there is no file {reference}", hint)
    if reference in registry.pairs:
        return ModelNotFoundError(
            f"{reference} is a pair, not a model", f"use --pair {reference}, or one of its models"
        )
    hint = suggestion(reference, registry, asked_for="model", options=opening)
    return ModelNotFoundError(f"there is no model {reference!r}", hint or LISTING_HINT)
