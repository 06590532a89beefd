"""Which models and pairs are on this machine, and what one of them is.

Here: the records behind `ls` and `show`, and the functions that make them.
Not here: fetching (`models.fetch`), removing (`jobs.removal`), how records are shown (`views.inventory`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blendin_local.engine.gguf.header import Header, read_header
from blendin_local.engine.memory import MemoryEstimate, estimate
from blendin_local.engine.model import open_vocabulary
from blendin_local.engine.trial_load import VOCABULARY, require_loadable
from blendin_local.errors import LoadError, ModelNotFoundError
from blendin_local.models.entries import HubSource, ModelEntry, PackageSource, PathSource, Source
from blendin_local.models.other_tools.find import other_models
from blendin_local.models.other_tools.found import OtherModel
from blendin_local.models.quantizations import all_parts, is_model_file, quantization_of
from blendin_local.models.references import local_file, resolve
from blendin_local.models.registry import Registry, shipped_file
from blendin_local.models.store import Store
from blendin_local.settings import DEFAULT_CTX_SIZE, ModelSettings


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
        tool: The other program that keeps its file; empty if it is this program's or the user's.
        problem: Why the file of another program cannot be used; empty if it can.
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
    tool: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PairRow:
    """One line of the pairs of `ls`.

    Attributes:
        name: What to type after `--pair`.
        base: Reference of the base.
        guide: Reference of the guide.
        guides: References of all guides.
        untuned: Reference of the third model; None if the pair has none.
        about: One line for people.
        missing: The roles whose file is not on this machine.
        values: Its template, system text and settings, by their keys in models.toml.
        own: Whether a models.toml of the user names it or sets one of its values.
    """

    name: str
    base: str
    guide: str
    guides: tuple[str, ...]
    untuned: str | None
    about: str
    missing: tuple[str, ...]
    values: Mapping[str, Any]
    own: bool

    @property
    def here(self) -> bool:
        """Whether all its files are on this machine."""
        return not self.missing

    def to_json(self) -> dict[str, Any]:
        """A record with names and plain values only."""
        return {
            "name": self.name,
            "base": self.base,
            "guide": self.guide,
            **({"guides": list(self.guides)} if len(self.guides) > 1 else {}),
            "untuned": self.untuned,
            "about": self.about,
            "here": self.here,
            "missing": list(self.missing),
            "settings": dict(self.values),
        }


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
    """The models that are here: named ones, other downloads, then the files of other programs.

    Args:
        registry: The names.
        store: The cache.
        everything: Whether to list also what can be downloaded, and what other programs have but cannot be
            used.
    """
    rows = [_named_row(entry, registry, store) for entry in registry.models.values()]
    named = {row.path for row in rows if row.path}
    unnamed = [path for path in store.files() if path not in named and is_model_file(path.name)]
    rows += [_unnamed_row(path, registry, store) for path in unnamed]
    rows += [_other_row(model, registry) for model in other_models() if model.path not in named]
    return [row for row in rows if everything or (row.here and not row.problem)]


def list_pairs(registry: Registry, store: Store) -> list[PairRow]:
    """The pairs of models.toml, and whether their files are here."""
    is_here: dict[str, bool] = {}
    shipped = shipped_file()
    rows = []
    for name, pair in registry.pairs.items():
        for reference in pair.references:
            if reference not in is_here:
                is_here[reference] = _is_here(reference, registry, store)
        missing = [role for role, reference in pair.models.items() if not is_here[reference]]
        own = any(path != shipped for path in registry.origins_of("pairs", name).values())
        rows.append(
            PairRow(
                name,
                pair.base,
                pair.guide,
                pair.guides,
                pair.untuned,
                pair.about,
                tuple(missing),
                pair.values,
                own=own,
            )
        )
    return rows


def _is_here(reference: str, registry: Registry, store: Store) -> bool:
    try:
        return resolve(reference, registry, store=store, offline=True, check=False).path is not None
    except (ModelNotFoundError, LoadError, PermissionError):
        return False


def describe(reference: str, registry: Registry, store: Store, ctx_size: int | None = None) -> ModelFacts:
    """Everything known about one model, its header included where the file is here."""
    resolved = resolve(reference, registry, store=store, offline=False)
    header = None if resolved.path is None else _with_all_ends(read_header(resolved.path), store)
    size = ctx_size or DEFAULT_CTX_SIZE
    if header is not None and header.ctx_train and ctx_size is None:
        size = min(size, header.ctx_train)
    return ModelFacts(
        reference=reference,
        entry=resolved.entry,
        path=resolved.path,
        source=resolved.tool or source_text(resolved.source),
        command=resolved.command if resolved.fetchable else "",
        header=header,
        ctx_size=size,
        memory=None if header is None else estimate(header, size),
        pairs=pairs_with(reference, registry),
        origins=registry.origins_of("models", reference),
    )


def _with_all_ends(header: Header, store: Store) -> Header:
    """The header with the ends that llama.cpp knows too; as it is where llama.cpp cannot load the file."""
    if header.unusable:
        return header
    try:
        require_loadable([(header, ModelSettings())], store.trial_cache, what=VOCABULARY)
        with open_vocabulary(header.path, store.vocabularies.entry(header)) as vocabulary:
            return replace(header, end_tokens=vocabulary.end_tokens)
    except LoadError:
        return header


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
            "tool": row.tool,
            "problem": row.problem,
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


def _other_row(model: OtherModel, registry: Registry) -> ModelRow:
    return ModelRow(
        reference=model.reference,
        here=model.path is not None,
        path=model.path,
        size=model.size,
        quantization=model.quantization,
        role="any",
        about="",
        license="",
        pairs=pairs_with(model.reference, registry),
        tool=model.tool,
        problem=model.problem,
    )


def _file_name(source: Source) -> str:
    return source.path.name if isinstance(source, PathSource) else source.file


def _size(path: Path) -> int:
    return sum(part.stat().st_size for part in files_of(path))


def files_of(path: Path) -> list[Path]:
    """The file itself, or all parts of a split model that are here."""
    return [part for name in all_parts(path.name) if (part := path.with_name(name)).is_file()]
