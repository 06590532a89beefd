"""What is compared: methods, each with the settings that set it apart.

Here: `Variant`, and the words of `--methods` and `--sweep` turned into variants; `with_sampled`: each of them
sampled too, once per seed.
Not here: what the methods do (`core.methods`), who runs them (`run`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from blendin_local.core.methods import METHODS, roles_of
from blendin_local.errors import UsageError
from blendin_local.settings import (
    AUTO_ALPHA,
    CALIBRATED_ALPHA,
    BlendSettings,
    SamplingSettings,
    require_count,
    settings_on,
)

ALIGNED = "aligned"  # a model of its own, alone, with its own chat template
SWEPT = "blendin"
TEMPERATURE = "temp"
MAX_SEEDS = 1000
SETTINGS = settings_on("sweep", BlendSettings, SamplingSettings)
FIELDS: Mapping[str, str] = {name: each.field for name, each in settings_on("sweep", BlendSettings).items()}
"""The fields of `BlendSettings` that can be varied, by their names."""
SAMPLING: Mapping[str, str] = {
    name: each.field for name, each in settings_on("sweep", SamplingSettings).items()
}
"""The fields of `SamplingSettings` that can be varied, by their names; an answer is greedy without them."""
RENAMED: Mapping[str, str] = {"lambda": "agreement-bonus", "top-k": "top-k-blend"}
"""Names of version 0.1, read like the new ones."""


@dataclass(frozen=True)
class Variant:
    """A method with the settings that set it apart from the pair's own.

    Attributes:
        method_name: What it is called in tables: `blendin`, `blendin[threshold=0.3]`, `aligned`.
        method: Its rule.
        settings: Values by the names of `FIELDS` and `SAMPLING`.
        seed: Number of the seed if it is sampled, from 1.
    """

    method_name: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None

    @property
    def name(self) -> str:
        """What it is called in files: each seed has a name, as in `blendin[temp=0.7,seed=1]`."""
        return self.method_name if self.seed is None else _extended(self.method_name, f"seed={self.seed}")

    @property
    def sampling(self) -> SamplingSettings:
        """How a candidate is picked: greedily unless it has a temperature."""
        chosen = {SAMPLING[name]: value for name, value in self.settings.items() if name in SAMPLING}
        return SamplingSettings(**chosen, seed=self.seed)

    def blend(self, own: BlendSettings) -> BlendSettings:
        """The settings it runs with, where `own` are the pair's.

        A model alone depends on none of them, so it always runs with the defaults and is run once in a sweep.
        """
        if len(roles_of(self.method)) == 1:
            return BlendSettings(method=self.method)
        chosen = {FIELDS[name]: value for name, value in self.settings.items() if name in FIELDS}
        return replace(own, method=self.method, **chosen)

    def sampled(self, **sampling: float) -> Variant:
        """The same at a temperature, with other settings of `SAMPLING` if any (hyphens as underscores)."""
        given = {name.replace("_", "-"): value for name, value in sampling.items()}
        words = ",".join(f"{name}={value:g}" for name, value in given.items())
        return replace(
            self, method_name=_extended(self.method_name, words), settings={**self.settings, **given}
        )

    def to_json(self) -> dict[str, Any]:
        """As the plan has it; what greedy variants have is as in earlier versions."""
        facts: dict[str, Any] = {"method": self.method, "settings": dict(self.settings)}
        return facts if self.seed is None else {**facts, "seed": self.seed, "seed_of": self.method_name}


def _extended(name: str, words: str) -> str:
    """A name with more settings in its brackets."""
    return f"{name[:-1]},{words}]" if name.endswith("]") else f"{name}[{words}]"


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
        distinct.setdefault(repr((variant.blend(own), variant.sampling)), variant)
    if not distinct:
        raise UsageError("no method was named", f"choose some of {', '.join(METHODS)}")
    return tuple(distinct.values())


def named_variants(methods: str, sweeps: Iterable[str]) -> list[Variant]:
    """The variants as they are named, before it is known which are the same for a pair; errors as above."""
    named = [_named(name) for name in split_methods(methods)]
    return named + [variant for sweep in sweeps for variant in _swept(sweep)]


def with_sampled(
    variants: Iterable[Variant], *, temperature: float, min_p: float, seeds: int
) -> tuple[Variant, ...]:
    """The variants, then those that are sampled, once per seed.

    Args:
        variants: As `variants_of` makes them.
        temperature: Each greedy variant is sampled at this temperature too; 0: only those are sampled that
            have a temperature of their own.
        min_p: If above 0, the base is sampled with this min-p too: what it brings to drop unlikely candidates
            without asking a guide.
        seeds: How often each sampled variant answers a question.

    Raises:
        UsageError: A value lies outside its interval, or there is a min-p without a temperature.
    """
    require_count("seeds", seeds, 1, MAX_SEEDS)
    SamplingSettings(temperature=temperature, min_p=min_p)
    if min_p and not temperature:
        raise UsageError(f"--min-p {min_p:g} needs a temperature", "give one with --temp")
    greedy = [variant for variant in variants if variant.sampling.temperature == 0]
    sampled = [variant for variant in variants if variant.sampling.temperature > 0]
    if temperature:
        sampled += [variant.sampled(temp=temperature) for variant in greedy]
    if min_p:
        sampled += [v.sampled(temp=temperature, min_p=min_p) for v in greedy if v.method == "base"]
    distinct = {variant.method_name: variant for variant in sampled}
    return (
        *greedy,
        *(replace(variant, seed=seed) for variant in distinct.values() for seed in range(1, seeds + 1)),
    )


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
    idle = [key for key in settings if key in SAMPLING and key != TEMPERATURE]
    if idle and not variant.sampling.temperature:
        hint = f"add one, as in {method}[temp=0.7,{idle[0]}=...]"
        raise UsageError(f"{variant.name} is greedy, so {idle[0]} changes nothing", hint)
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
