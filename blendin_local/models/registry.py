"""The names of models, pairs and templates, merged from every models.toml that applies.

Here: which files are read, how they are merged, and where each value came from.
Not here: allowed keys (`models.schema`), what a file of the working directory may do (`models.overrides`),
what a reference on the command line means (`models.references`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from blendin_local.core.prompts import CHAT, PlainTemplate
from blendin_local.core.roles import GUIDES
from blendin_local.errors import UsageError
from blendin_local.models.config_file import read_file
from blendin_local.models.entries import (
    Defaults,
    HubSource,
    ModelEntry,
    PackagePart,
    PackageSource,
    PairEntry,
    PathSource,
    Source,
)
from blendin_local.models.overrides import Accept, Name, confirm, find_overrides, keep_new_names
from blendin_local.models.schema import (
    HISTORY_KEYS,
    SECTIONS,
    SETTING_KEYS,
    SOURCE_KEYS,
    TERMINAL_KEYS,
    Table,
)
from blendin_local.paths import is_file, resolve_path
from blendin_local.settings import to_settings

APPLICATION = "blendin-local"
FILE_NAME = "models.toml"
# facts about one file; an entry that names another source must not inherit them
FILE_FACTS = ("size", "sha256", "license", "notice", *SOURCE_KEYS)

SettingKey = tuple[str, str, str]  # section, entry, key; the entry of [defaults] is empty


@dataclass(frozen=True, slots=True)
class RegistryFile:
    """One models.toml; one in the working directory is not trusted."""

    path: Path
    trusted: bool = True


@dataclass(frozen=True)
class Registry:
    """All names.

    Attributes:
        models: Entries by alias.
        pairs: Entries by name.
        templates: Plain-text templates by name.
        defaults: The merged section `[defaults]`.
        files: The files read, nearest first.
        origins: The file that each value came from.
        untrusted: The models.toml of the working directory, where one was read.
    """

    models: Mapping[str, ModelEntry]
    pairs: Mapping[str, PairEntry]
    templates: Mapping[str, PlainTemplate]
    defaults: Defaults
    files: tuple[Path, ...] = ()
    origins: Mapping[SettingKey, Path] = field(default_factory=dict)
    untrusted: Path | None = None

    def origins_of(self, section: str, name: str) -> dict[str, Path]:
        """Return the file that each value of an entry comes from."""
        return {at[2]: path for at, path in self.origins.items() if at[:2] == (section, name)}

    def distrusted(self, pair: str) -> Path | None:
        """Return the untrusted file if the pair comes from it, else None."""
        found = self.pairs.get(pair)
        return None if found is None or found.trusted else self.untrusted


def load_registry(
    explicit: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    *,
    accept: Accept | None = None,
) -> Registry:
    """Read and merge every models.toml that applies.

    Args:
        explicit: The file of `--models`.
        env: Environment variables (those of the process by default).
        cwd: Working directory (that of the process by default).
        accept: Asked if the file of the working directory changes values of other files; None if nobody can
            be asked.

    Raises:
        UsageError: A file is missing, is not TOML, has an unknown key or a wrong value, or the one of the
            working directory changes values of other files and nobody can be asked.
    """
    files = list(_files(explicit, os.environ if env is None else env, cwd))
    contents = [(file, read_file(file.path)) for file in reversed(files)]
    merged = _merge(contents)
    local = next((file.path for file in files if not file.trusted), None)
    if local is not None:
        trusted = _merge([(file, content) for file, content in contents if file.trusted])
        overridden = find_overrides(merged.tables, trusted.tables)
        if overridden and not confirm(local, overridden, accept):
            kept = (
                content if file.trusted else keep_new_names(content, trusted.tables)
                for file, content in contents
            )
            merged = _merge(list(zip(reversed(files), kept, strict=True)))
    return merged.registry(tuple(file.path for file in files), local)


def terminal_settings(
    explicit: Path | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> dict[str, Any]:
    """Read the fields of `TerminalSettings` that `[terminal]` of the trusted files sets; the nearest wins.

    A models.toml of the working directory has no say: how a screen looks is not a project's business.

    Args:
        explicit: As in `load_registry`.
        env: As in `load_registry`.
        cwd: As in `load_registry`.

    Raises:
        UsageError: A file is missing, is not TOML, has an unknown key or a wrong value.
    """
    return to_settings(_trusted_table("terminal", explicit, env, cwd), TERMINAL_KEYS)


def history_settings(
    explicit: Path | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> dict[str, Any]:
    """Read the fields of `HistorySettings` that `[history]` of the trusted files sets; the nearest wins.

    A models.toml of the working directory has no say: it must neither hide what was asked nor keep it.
    """
    return to_settings(_trusted_table("history", explicit, env, cwd), HISTORY_KEYS)


def _trusted_table(
    name: str, explicit: Path | None, env: Mapping[str, str] | None, cwd: Path | None
) -> dict[str, Any]:
    """A table of the trusted files, merged."""
    values: dict[str, Any] = {}
    for file in reversed(list(_files(explicit, os.environ if env is None else env, cwd))):
        if file.trusted:
            values |= read_file(file.path).get(name, {})
    return values


def shipped_file() -> Path:
    """Return the models.toml of the program: inside the package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / FILE_NAME
    return inside if inside.is_file() else package.parent / FILE_NAME


def user_file() -> Path:
    """Return the path of the user's models.toml; it need not exist."""
    return Path(platformdirs.user_config_dir(APPLICATION, appauthor=False)) / FILE_NAME


def registry_files(explicit: Path | None = None) -> tuple[RegistryFile, ...]:
    """The files that `load_registry` would read, nearest first; errors as there."""
    return tuple(_files(explicit, os.environ, None))


def _files(explicit: Path | None, env: Mapping[str, str], cwd: Path | None) -> Iterator[RegistryFile]:
    """The files that apply, nearest first."""
    seen: set[Path] = set()
    named = [(explicit, "--models")]
    if env.get("BLENDIN_MODELS"):
        named.append((Path(env["BLENDIN_MODELS"]), "BLENDIN_MODELS"))
    for path, option in named:
        if path is None:
            continue
        file = resolve_path(path, option)
        if not os.path.isfile(file):  # unlike Path.is_file it never raises
            raise UsageError(f"{option} names {path}, which is not a file", "check the path")
        if file not in seen:
            seen.add(file)
            yield RegistryFile(file)
    standard_files = (user_file().resolve(), shipped_file().resolve())
    local = _in_directory(cwd)
    if local is not None and local not in seen.union(standard_files):
        yield RegistryFile(local, trusted=False)
    for path in standard_files:
        if is_file(path) and path not in seen:  # False too where the directory may not be entered
            seen.add(path)
            yield RegistryFile(path)


def _in_directory(cwd: Path | None) -> Path | None:
    """The models.toml of the working directory, also if it is not a regular file; None if missing."""
    try:
        path = (cwd or Path.cwd()) / FILE_NAME
        return path.resolve() if path.is_symlink() or path.exists() else None
    except (OSError, RuntimeError):  # it is gone or may not be entered, or links form a loop
        return None


def _merge(contents: Sequence[tuple[RegistryFile, Table]]) -> _Merged:
    merged = _Merged()
    for file, content in contents:
        merged.add(file, content)
    return merged


class _Merged:
    """The tables of all files so far, the farthest first; a nearer value replaces a farther one."""

    def __init__(self) -> None:
        self.tables: dict[Name, dict[str, Any]] = {}
        self.origins: dict[SettingKey, RegistryFile] = {}
        self.files: dict[Name, list[str]] = {}

    def add(self, file: RegistryFile, content: Table) -> None:
        self._put("defaults", "", content.get("defaults", {}), file)
        for section in SECTIONS:
            for name, table in content.get(section, {}).items():
                if section == "models":
                    self._drop_other_source(name, table)
                self._put(section, name, table, file)

    def _put(self, section: str, name: str, table: Table, file: RegistryFile) -> None:
        known = self.tables.setdefault((section, name), {})
        self.files.setdefault((section, name), []).append(str(file.path))
        for key, value in table.items():
            if key not in known or known[key] != value:  # an equal value stays the farther file's
                known[key] = value
                self.origins[section, name, key] = file

    def _drop_other_source(self, name: str, table: Table) -> None:
        known = self.tables.get(("models", name), {})
        if all(known.get(key) == table[key] for key in SOURCE_KEYS if key in table):
            return
        for key in FILE_FACTS:
            known.pop(key, None)
            self.origins.pop(("models", name, key), None)

    def trusted(self, section: str, name: str, keys: tuple[str, ...]) -> bool:
        origin_keys = ((section, name, key) for key in keys)
        return all(self.origins[at].trusted for at in origin_keys if at in self.origins)

    def registry(self, files: tuple[Path, ...], untrusted: Path | None) -> Registry:
        of = {section: self._section(section) for section in SECTIONS}
        return Registry(
            models={name: self._model(name, table) for name, table in of["models"].items()},
            pairs={name: self._pair(name, table) for name, table in of["pairs"].items()},
            templates={name: self._template(name, table) for name, table in of["templates"].items()},
            defaults=Defaults(**_settings_apart(self.tables.get(("defaults", ""), {}))),
            files=files,
            origins={at: file.path for at, file in self.origins.items()},
            untrusted=untrusted,
        )

    def _section(self, section: str) -> dict[str, dict[str, Any]]:
        return {name: table for (kind, name), table in self.tables.items() if kind == section}

    def _model(self, name: str, table: Table) -> ModelEntry:
        facts = {key: value for key, value in table.items() if key not in SOURCE_KEYS}
        if "chat_template" in facts:
            facts["chat_template"] = Path(facts["chat_template"])
        sources = tuple(_sources(table))
        if not sources:
            self._missing("models", name, "one of path, hf, sources")
        return ModelEntry(name, sources, trusted=self.trusted("models", name, FILE_FACTS), **facts)

    def _pair(self, name: str, table: Table) -> PairEntry:
        facts = _settings_apart({key: value for key, value in table.items() if key != "tuned"})
        guides = facts.get("guide")
        if isinstance(guides, list):
            facts |= dict(zip(GUIDES, guides, strict=False))
        for role in ("base", "guide"):
            if not facts.get(role):
                self._missing("pairs", name, role)
        return PairEntry(
            name=name, trusted=self.trusted("pairs", name, ("base", "guide", "untuned")), **facts
        )

    def _template(self, name: str, table: Table) -> PlainTemplate:
        if name == CHAT:
            files = " or ".join(self.files["templates", name])
            raise UsageError(
                f"{files}: [templates.{CHAT}] has the name of the base's own chat template", "rename it"
            )
        for part in ("user", "assistant"):
            if "{text}" not in table.get(part, ""):
                self._missing("templates", name, f"{part} with {{text}} in it")
        fields = {key: value for key, value in table.items() if key not in {"about", "stop"}}
        return PlainTemplate(name=name, stop=tuple(table.get("stop", ())), **fields)

    def _missing(self, section: str, name: str, what: str) -> None:
        files = " or ".join(self.files[section, name])
        raise UsageError(f"{files}: [{section}.{name}] lacks {what}", "add it there")


def _settings_apart(table: Table) -> dict[str, Any]:
    """The table with the keys of settings as a mapping of their own."""
    facts = {key: value for key, value in table.items() if key not in SETTING_KEYS}
    return {**facts, "settings": {key: table[key] for key in SETTING_KEYS if key in table}}


def _sources(table: Table) -> Iterator[Source]:
    if "path" in table:
        yield PathSource(Path(table["path"]))
    if "hf" in table:
        repo, _, quant = table["hf"].partition(":")
        yield HubSource(repo, quant=quant)
    for source in table.get("sources", []):
        if "path" in source:
            yield PathSource(Path(source["path"]))
        elif "repo" in source:
            yield HubSource(**source)
        else:
            parts = tuple(PackagePart(**part) for part in source["parts"])
            yield PackageSource(source["file"], parts)
