"""What is compared: methods, each with the settings that set it apart.

Here: `Variant`, and the words of `--methods` and `--sweep` turned into variants.
Not here: what the methods do (`core.methods`), who runs them (`run`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from blendin_local.core.methods import METHODS, roles_of
from blendin_local.errors import UsageError
from blendin_local.settings import AUTO_ALPHA, CALIBRATED_ALPHA, BlendSettings, settings_on

ALIGNED = "aligned"  # a model of its own, alone, with its own chat template
SWEPT = "blendin"
SETTINGS = settings_on("sweep", BlendSettings)
FIELDS: Mapping[str, str] = {name: setting.field for name, setting in SETTINGS.items()}
"""The fields of `BlendSettings` that can be varied, by their names."""
RENAMED: Mapping[str, str] = {"lambda": "agreement-bonus", "top-k": "top-k-blend"}
"""Names of version 0.1, read like the new ones."""


@dataclass(frozen=True)
class Variant:
    """A method with the settings that set it apart from the pair's own.

    Attributes:
        name: What it is called in files and tables: `blendin`, `blendin[threshold=0.3]`, `aligned`.
        method: Its rule.
        settings: Values by the names of `FIELDS`.
    """

    name: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def blend(self, own: BlendSettings) -> BlendSettings:
        """The settings it runs with, where `own` are the pair's.

        A model alone depends on none of them, so it always runs with the defaults and is run once in a sweep.
        """
        if len(roles_of(self.method)) == 1:
            return BlendSettings(method=self.method)
        chosen = {FIELDS[name]: value for name, value in self.settings.items()}
        return replace(own, method=self.method, **chosen)


def variants_of(methods: str, sweeps: Iterable[str], own: BlendSettings) -> tuple[Variant, ...]:
    """All variants that a command line asks for.

    Args:
        methods: Names separated by commas, each with settings in brackets if any: `base,capped[cap=0.1]`.
        sweeps: `threshold=0.3,0.4,0.5` each; variants of blendin.
        own: The pair's settings; a swept value that equals its own is no variant of its own.

    Raises:
        UsageError: A method, a setting or a value is unknown, or nothing is left to compare.
    """
    distinct: dict[str, Variant] = {}
    for variant in named_variants(methods, sweeps):
        distinct.setdefault(repr(variant.blend(own)), variant)
    if not distinct:
        raise UsageError("no method was named", f"choose some of {', '.join(METHODS)}")
    return tuple(distinct.values())


def named_variants(methods: str, sweeps: Iterable[str]) -> list[Variant]:
    """The variants as they are named, before it is known which are the same for a pair; errors as above."""
    named = [_named(name) for name in split_methods(methods)]
    return named + [variant for sweep in sweeps for variant in _swept(sweep)]


def split_methods(methods: str) -> tuple[str, ...]:
    """The names in `base,nudging[threshold=0.3,top-k=20]`: a comma inside brackets separates no names."""
    return tuple(word.strip() for word in re.split(r",(?![^\[]*\])", methods) if word.strip())


def _named(word: str) -> Variant:
    name, bracket, rest = word.strip().partition("[")
    if name not in METHODS or (bracket and not rest.endswith("]")):
        raise UsageError(
            f"there is no method {word.strip()!r}",
            f"choose some of {', '.join(METHODS)}, with settings as in nudging[threshold=0.3]",
        )
    pairs = [item.partition("=") for item in rest.removesuffix("]").split(",") if item.strip()]
    return _variant(name, {key.strip(): value for key, _, value in pairs})


def _swept(sweep: str) -> list[Variant]:
    key, equals, values = sweep.partition("=")
    texts = [value for value in values.split(",") if value.strip()]
    if not equals or not texts:
        raise UsageError(
            f"--sweep is {sweep!r}", "give a setting and its values, as in threshold=0.3,0.4,0.5"
        )
    return [_variant(SWEPT, {key.strip(): value}) for value in texts]


def _variant(method: str, texts: Mapping[str, str]) -> Variant:
    settings = new_names({key: _value(key, text.strip()) for key, text in texts.items()})
    inside = ",".join(f"{key}={text.strip()}" for key, text in texts.items())
    variant = Variant(f"{method}[{inside}]" if inside else method, method, settings)
    if CALIBRATED_ALPHA not in settings.values():  # which needs the pair's own temperatures
        variant.blend(BlendSettings())  # raises UsageError for a value outside its interval
    return variant


def _value(key: str, text: str) -> Any:  # noqa: ANN401 - settings have many types
    setting = SETTINGS.get(RENAMED.get(key, key))
    if setting is None:
        raise UsageError(f"there is no setting {key!r} to vary", f"choose one of {', '.join(SETTINGS)}")
    return setting.parse(text, key)


def new_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their names of today, where some have those of version 0.1."""
    return {RENAMED.get(key, key): value for key, value in settings.items()}


def old_name_notes(variants: Iterable[Variant]) -> tuple[str, ...]:
    """A sentence for each setting that was called by its old name."""
    used = {key for variant in variants for key in re.findall(r"[\[,]\s*([\w-]+)=", variant.name)}
    return tuple(
        f"the setting {old} is now called {new}; the old name will not be read by the next version"
        for old, new in RENAMED.items()
        if old in used
    )


def setting_name(value: Any) -> str:  # noqa: ANN401 - a number, a word or None
    """How a value of a setting is written: `0.3`, `100`, `auto`."""
    if value is None:
        return AUTO_ALPHA
    return value if isinstance(value, str) else f"{value:g}"
