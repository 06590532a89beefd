"""The contents of models.toml as values: models and their sources, pairs, defaults.

Here: the frozen records that the rest of the program reads.
Not here: files and their merging (`models.registry`), which keys exist (`models.schema`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from blendin_local.core.roles import ROLES

Role = Literal["base", "instruct", "any"]


@dataclass(frozen=True, slots=True)
class PathSource:
    """A file that is already there, or not."""

    path: Path


@dataclass(frozen=True, slots=True)
class PackagePart:
    """One piece of a file, kept as data inside a Python package.

    Attributes:
        package: The package's name.
        version: Its exact version.
        member: The piece's path inside the wheel.
        size: Bytes of the wheel, for a true progress bar; 0 if not known.
    """

    package: str
    version: str
    member: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A file whose pieces are distributed inside packages; joined in order, they are the file."""

    file: str
    parts: tuple[PackagePart, ...]


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file in a Hugging Face repository.

    Attributes:
        repo: `user/repo`.
        file: The file inside it; empty if `quant` chooses.
        quant: The quantization to use; empty for the default.
        revision: Branch, tag or commit; empty for the main branch.
    """

    repo: str
    file: str = ""
    quant: str = ""
    revision: str = ""


Source = PathSource | PackageSource | HubSource


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One `[models.NAME]`.

    Attributes:
        name: The alias.
        sources: Where the file can be had, in the order to try.
        about: One line for people.
        family: Name of the model family.
        role: `base` (pre-trained only), `instruct`, or `any`.
        license: Name of the licence.
        notice: One line shown when the file is fetched.
        size: Bytes of the whole file; 0 if not known.
        sha256: Its checksum; empty if not known.
        template: Name of the plain-text template to prompt it with as a base, or `chat` for its own chat
            template; empty for the default.
        chat_template: A file with a Jinja template to use instead of the model's own.
        think: Whether a guide with a thinking mode uses it.
        trusted: False if the file's source is from a models.toml of the working directory.
    """

    name: str
    sources: tuple[Source, ...]
    about: str = ""
    family: str = ""
    role: Role = "any"
    license: str = ""
    notice: str = ""
    size: int = 0
    sha256: str = ""
    template: str = ""
    chat_template: Path | None = None
    think: bool = False
    trusted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEntry:
    """One `[pairs.NAME]`: references of its models and the settings that differ from the defaults.

    Attributes:
        name: The pair's name.
        base: Reference of the base.
        guide: Reference of the guide.
        about: One line for people.
        base_template: Name of the base's plain-text template, or `chat`.
        untuned: Reference of the third model, which `proxy` and `gated-proxy` need.
        guide2: Reference of the second guide, where `guide` is a list.
        guide3: Likewise the third.
        system: Instructions before every question; None if not given.
        settings: The values it gives to settings, by their keys in models.toml.
        trusted: False if a models.toml of the working directory names the models.
    """

    name: str
    base: str
    guide: str
    about: str = ""
    base_template: str | None = None
    untuned: str | None = None
    guide2: str | None = None
    guide3: str | None = None
    system: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = True

    @property
    def references(self) -> tuple[str, ...]:
        """Those of its models."""
        return tuple(self.models.values())

    @property
    def models(self) -> dict[str, str]:
        """The references of its models, by role."""
        return {role: reference for role in ROLES if (reference := getattr(self, role))}

    @property
    def guides(self) -> tuple[str, ...]:
        """The references of its guides, mostly one."""
        return tuple(name for name in (self.guide, self.guide2, self.guide3) if name)

    @property
    def values(self) -> dict[str, Any]:
        """What it sets beside its models: template, system text and settings, by key."""
        prompts = {"base_template": self.base_template, "system": self.system}
        return {name: value for name, value in prompts.items() if value is not None} | dict(self.settings)

    def to_json(self) -> dict[str, Any]:
        """Its keys as in models.toml, and whether its models are trusted."""
        names = ("name", "base", "guide", "about", "base_template", "untuned", "system", "trusted")
        facts = {name: getattr(self, name) for name in names}
        if self.guide2:
            facts["guide"] = list(self.guides)
        return {name: value for name, value in facts.items() if value is not None} | dict(self.settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The section `[defaults]`: values used if neither the command line nor the pair gives one.

    Attributes:
        pair: The pair that is used where none is named.
        template: The base's plain-text template.
        system: Instructions before every question; None if not given.
        settings: The values it gives to settings, by their keys in models.toml.
    """

    pair: str = ""
    template: str = ""
    system: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
