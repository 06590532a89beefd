"""Which models are on this machine, what one of them is, and what removing one frees.

Here: the records behind `ls`, `show` and `rm`, and the functions that make them; `remove`.
Not here: fetching (`models.fetch`), how records are shown (`views.inventory`).
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blendin_local.engine.gguf.header import Header, read_header
from blendin_local.engine.memory import MemoryEstimate, estimate
from blendin_local.errors import ModelNotFoundError, UsageError
from blendin_local.models.entries import HubSource, ModelEntry, PackageSource, PathSource, Source
from blendin_local.models.quantizations import all_parts, is_model_file, quantization_of
from blendin_local.models.references import Resolved, local_file, resolve
from blendin_local.models.registry import Registry
from blendin_local.models.store import Store
from blendin_local.settings import DEFAULT_CTX_SIZE


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One line of `ls`.

    Attributes:
        reference: What to type for it.
        here: Whether its file is on this machine.
        path: The file; None if it is not here.
        size: Bytes on disk, or of the file to fetch; 0 if not known.
        quantization: According to the file name; empty if that has none.
        role: `base`, `instruct` or `any`.
        about: One line for people.
        license: Name of the licence; empty if not known.
        pairs: Pairs that use it.
    """

    reference: str
    here: bool
    path: Path | None
    size: int
    quantization: str
    role: str
    about: str
    license: str
    pairs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What `show` prints about one model.

    Attributes:
        reference: What was asked for.
        entry: Its entry of models.toml, if it has one.
        path: Its file; None if it is not here.
        source: Where it can be fetched; empty if it cannot.
        command: The command that downloads it; empty if none can.
        header: The metadata of the file; None if the file is not on this machine.
        ctx_size: The context for which memory was estimated.
        memory: That estimate.
        pairs: Pairs that use it.
        origins: For each value of the entry the file that it comes from.
    """

    reference: str
    entry: ModelEntry | None
    path: Path | None
    source: str
    command: str
    header: Header | None
    ctx_size: int
    memory: MemoryEstimate | None
    pairs: tuple[str, ...]
    origins: Mapping[str, Path]


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


def expand(names: Iterable[str], registry: Registry) -> dict[str, Path | None]:
    """References of models, a pair standing for all of its own, each with the untrusted file it is from."""
    found: dict[str, Path | None] = {}
    for name in names:
        pair = registry.pairs.get(name)
        if pair is None or name in registry.models:
            found[name] = None
            continue
        file = registry.distrusted(name)
        found |= {reference: file and found.get(reference, file) for reference in pair.references}
    return found


def list_models(registry: Registry, store: Store, *, everything: bool = False) -> list[ModelRow]:
    """The models that are here, with those that could be if `everything`; named ones first."""
    rows = [_named_row(entry, registry, store) for entry in registry.models.values()]
    named = {row.path for row in rows if row.path}
    unnamed = [path for path in store.files() if path not in named and is_model_file(path.name)]
    rows += [_unnamed_row(path, registry, store) for path in unnamed]
    return [row for row in rows if row.here or everything]


def describe(reference: str, registry: Registry, store: Store, ctx_size: int | None = None) -> ModelFacts:
    """Everything known about one model, its header included where the file is here."""
    resolved = resolve(reference, registry, store=store, offline=False)
    header = None if resolved.path is None else read_header(resolved.path)
    size = ctx_size or DEFAULT_CTX_SIZE
    if header is not None and header.ctx_train and ctx_size is None:
        size = min(size, header.ctx_train)
    return ModelFacts(
        reference=reference,
        entry=resolved.entry,
        path=resolved.path,
        source=source_text(resolved.source),
        command=resolved.command if resolved.fetchable else "",
        header=header,
        ctx_size=size,
        memory=None if header is None else estimate(header, size),
        pairs=pairs_with(reference, registry),
        origins=registry.origins_of("models", reference),
    )


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


def pairs_with(reference: str, registry: Registry) -> tuple[str, ...]:
    """Names of the pairs that a reference is part of."""
    return tuple(name for name, pair in registry.pairs.items() if reference in pair.references)


def source_text(source: Source | None) -> str:
    """Where a file comes from, in words."""
    match source:
        case HubSource(repo, file, quant, revision):
            at = f"@{revision}" if revision else ""
            return f"hf://{repo}{at}/{file}" if file else f"{repo}{at}" + (f":{quant}" if quant else "")
        case PackageSource(file, parts):
            more = f" and {len(parts) - 1} more" if len(parts) > 1 else ""
            return f"{file}, data of the package {parts[0].package} {parts[0].version}{more}"
        case PathSource(path):
            return str(path)
        case None:
            return ""


def to_json(row: ModelRow | ModelFacts) -> dict[str, Any]:
    """A record with names and plain values only."""
    if isinstance(row, ModelRow):
        return {
            "reference": row.reference,
            "here": row.here,
            "path": None if row.path is None else str(row.path),
            "size": row.size,
            "quantization": row.quantization,
            "role": row.role,
            "about": row.about,
            "license": row.license,
            "pairs": list(row.pairs),
        }
    entry, header, memory = row.entry, row.header, row.memory
    return {
        "reference": row.reference,
        "here": row.path is not None,
        "path": None if row.path is None else str(row.path),
        "source": row.source,
        "command": row.command,
        "about": entry.about if entry else "",
        "role": entry.role if entry else "any",
        "license": (entry.license if entry else "") or (header.license if header else ""),
        "notice": entry.notice if entry else "",
        "pairs": list(row.pairs),
        "origins": {key: str(path) for key, path in row.origins.items()},
        "header": None if header is None else _header_json(header),
        "ctx_size": row.ctx_size,
        "memory": None
        if memory is None
        else {
            "weights": memory.weights,
            "kv_cache": memory.kv_cache,
            "compute": memory.compute,
            "total": memory.total,
        },
    }


def _header_json(header: Header) -> dict[str, Any]:
    names = (
        "architecture name parameters quantization file_size n_layers ctx_train n_embd sliding_window memory "
        "vocab_kind vocab_size chat_template n_parts unusable"
    )
    return {name: getattr(header, name) for name in names.split()} | {"end_tokens": list(header.end_tokens)}


def _named_row(entry: ModelEntry, registry: Registry, store: Store) -> ModelRow:
    found = (local_file(source, store) for source in entry.sources)
    path = next((path for path in found if path is not None), None)
    names = [name for source in entry.sources if (name := _file_name(source))]
    return ModelRow(
        reference=entry.name,
        here=path is not None,
        path=path,
        size=entry.size if path is None else _size(path),
        quantization=quantization_of(path.name if path else (names or [""])[0]),
        role=entry.role,
        about=entry.about,
        license=entry.license,
        pairs=pairs_with(entry.name, registry),
    )


def _unnamed_row(path: Path, registry: Registry, store: Store) -> ModelRow:
    reference = store.reference_of(path)
    return ModelRow(
        reference=reference,
        here=True,
        path=path,
        size=_size(path),
        quantization=quantization_of(path.name),
        role="any",
        about="",
        license="",
        pairs=pairs_with(reference, registry),
    )


def _file_name(source: Source) -> str:
    return source.path.name if isinstance(source, PathSource) else source.file


def _size(path: Path) -> int:
    return sum(part.stat().st_size for part in _files(path))


def _files(path: Path) -> list[Path]:
    return [part for name in all_parts(path.name) if (part := path.with_name(name)).is_file()]


def _owned_files(resolved: Resolved, store: Store) -> list[Path]:
    if resolved.path is None:
        raise ModelNotFoundError(f"{resolved.reference} is not on this machine", "blendin ls shows what is")
    if not store.owns(resolved.path):
        raise UsageError(
            f"{resolved.path} was not fetched by blendin, so it does not remove it",
            "delete the file yourself",
        )
    return [store.inside(file) for file in _files(resolved.path)]
