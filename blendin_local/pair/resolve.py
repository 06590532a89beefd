"""From names to a pair in memory: references, settings of models.toml, files on this machine.

Here: `PairSpec`, what was asked for; `resolve_pair`, which settles it into a `ResolvedPair`; `locate_files`,
which finds or downloads its files; `open_pair`, which does all of it for Python.
Not here: how names are read and files fetched (`models`), the loaded pair (`pair.pair`).
Which value wins: what was asked for, then the pair's, then `[defaults]`, then the built-in default.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from blendin_local.core.methods import METHODS, ONE_GUIDE, STEERED, require_guides, roles_of
from blendin_local.core.prompts import BaseTemplate
from blendin_local.core.roles import FURTHER_GUIDES, GUIDES, ROLES, Role
from blendin_local.decode.request import GenerationSettings
from blendin_local.decode.steering import require_gate
from blendin_local.errors import UsageError
from blendin_local.grammar.compilation import require_form
from blendin_local.grammar.source import with_texts
from blendin_local.models.entries import Defaults, PairEntry
from blendin_local.models.fetch import ensure_local
from blendin_local.models.names import unknown_pair
from blendin_local.models.overrides import Accept
from blendin_local.models.references import Resolved
from blendin_local.models.registry import Registry, load_registry
from blendin_local.models.schema import ANSWER_KEYS, BLEND_KEYS, SAMPLING_KEYS
from blendin_local.models.store import Progress
from blendin_local.pair.configured import configured, model_settings, settings_from
from blendin_local.pair.keywords import checked_keywords
from blendin_local.pair.needed_models import roles_to_open
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.pair.templates import base_template, jinja_template
from blendin_local.settings import (
    AnswerSettings,
    BlendSettings,
    ModelSettings,
    SamplingSettings,
    of_one_form,
    to_settings,
)


@dataclass(frozen=True)
class PairSpec:
    """Which pair, and with what settings; None and empty values mean: not given.

    Settings that are not given come from the pair in models.toml, then its `[defaults]`, then the built-in
    defaults of `blendin_local.settings`.

    Attributes:
        pair: A pair of models.toml; with no models named either, the default pair.
        base: A path, a name of models.toml, `user/repo[:QUANT]` or `hf://user/repo/file.gguf`.
        guide: Likewise.
        untuned: Likewise the third model, which `proxy` and `gated-proxy` need.
        guide2: Likewise the second guide; with `guide`, which replaces all guides of a pair.
        guide3: Likewise the third.
        base_template: A plain-text template of models.toml; `chat` for the base's own chat template.
        exact_prompts: Prompts that replace rendered ones, by role.
        guide_template: A Jinja chat template instead of the one in the guide's file.
        thinking: Whether a thinking guide may think.
        system: Instructions before every question.
        date: The date for a chat template that inserts one; None for today.
        base_settings: How llama.cpp runs the base: `ModelSettings`, or some of its fields, which then win
            over those of models.toml (a count of None means `auto`).
        guide_settings: Likewise the guide.
        blend: Fields of `BlendSettings`; an alpha of None means `auto`.
        sampling: Fields of `SamplingSettings`.
        answer: Fields of `AnswerSettings`.
        every_model: Whether to open every model that is named, also where the method needs fewer.
        n_parallel: How many answers may be made at once; as many more as a search needs.
        models_file: A models.toml that comes before the others.
        pull: Whether to download missing files without asking.
        offline: Whether to stay off the network.
    """

    pair: str | None = None
    base: str | None = None
    guide: str | None = None
    untuned: str | None = None
    guide2: str | None = None
    guide3: str | None = None
    base_template: str | None = None
    exact_prompts: Mapping[Role, str] = field(default_factory=dict)
    guide_template: str | None = None
    thinking: bool | None = None
    system: str | None = None
    date: datetime.date | None = None
    base_settings: ModelSettings | Mapping[str, Any] = field(default_factory=dict)
    guide_settings: ModelSettings | Mapping[str, Any] = field(default_factory=dict)
    blend: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)
    every_model: bool = False
    n_parallel: int = 1
    models_file: Path | None = None
    pull: bool = False
    offline: bool = False


@contextmanager
def _silent_downloads() -> Iterator[Callable[[Resolved], Progress]]:
    yield lambda _: lambda _done, _total: None


@dataclass(frozen=True)
class Interaction:
    """Callbacks to the user while models are resolved and downloaded; by default none.

    Attributes:
        accept: Decides whether a models.toml of the working directory may change values; None refuses.
        confirm_download: Called once with all missing files; None refuses.
        downloads: A context around all downloads; makes the progress listener of each.
        note: Called with each notice for the user, a sentence.
    """

    accept: Accept | None = None
    confirm_download: Callable[[Sequence[Resolved]], bool] | None = None
    downloads: Callable[[], AbstractContextManager[Callable[[Resolved], Progress]]] = _silent_downloads
    note: Callable[[str], None] = lambda _: None


NO_INTERACTION = Interaction()


@dataclass(frozen=True)
class ResolvedPair:
    """What a spec means.

    Attributes:
        spec: The spec.
        registry: The merged models.toml files.
        references: What to open, by role.
        setup: The pair's setup, still without files.
        blend: Method, threshold, alpha.
        sampling: Temperature and its companions.
        answer: Limits and stop strings.
        system: Instructions before every question.
        pair_name: The pair whose settings were taken, empty if two models were named.
        is_default: Whether nothing was named, so that the default pair was taken.
    """

    spec: PairSpec
    registry: Registry
    references: Mapping[Role, str]
    setup: PairSetup
    blend: BlendSettings
    sampling: SamplingSettings
    answer: AnswerSettings
    system: str = ""
    pair_name: str = ""
    is_default: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that these models allow."""
        several = any(role in self.references for role in FURTHER_GUIDES)
        unusable = {
            *(ONE_GUIDE if several else ()),
            *(() if self.setup.base_settings.control_vector else (STEERED,)),
        }
        allowed = (name for name in METHODS if set(roles_of(name)) <= set(self.references))
        return tuple(name for name in allowed if name not in unusable)

    @property
    def named(self) -> dict[Role, str]:
        """What the user calls the models, also those that the method does not need; by role."""
        return _named(self.spec, self.registry.pairs.get(self.pair_name))

    def dated(self, date: datetime.date | None) -> ResolvedPair:
        """The same with the date of an earlier run, None if there was none, unless the spec names one."""
        if date is None or self.spec.date is not None:
            return self
        return replace(self, setup=replace(self.setup, date=date))

    def describe(self) -> str:
        """The models in words: `A guided by B`."""
        names = dict(self.references)
        against = f" against {names.pop('untuned')}" if "untuned" in names else ""
        guides = [names.pop(role) for role in GUIDES if role in names]
        return " guided by ".join([*names.values(), *filter(None, [" and ".join(guides)])]) + against


def resolve_pair(
    spec: PairSpec, registry: Registry | None = None, accept: Accept | None = None
) -> ResolvedPair:
    """Settle which models are meant and which settings hold; wrong ones are known before anything is loaded.

    Args:
        spec: What was asked for.
        registry: The merged models.toml files; read here where None.
        accept: As in `Interaction`, where they are read here.

    Raises:
        UsageError: A name is unknown, a setting is wrong, or the method lacks one of its models.
    """
    if registry is None:
        registry = load_registry(spec.models_file, accept=accept)
    unnamed = not (spec.pair or spec.base or spec.guide)
    entry = _pair_entry(spec.pair or (registry.defaults.pair if unnamed else None), registry)
    sections = (entry, registry.defaults)
    blend = _blend(spec, sections)
    sampling = settings_from(SamplingSettings, configured(SAMPLING_KEYS, sections), spec.sampling)
    references = _references(spec, entry, blend, sampling)
    n_search = sampling.search_size.n_slots if sampling.search_size else 0
    base_settings = model_settings(spec.base_settings, sections, "base", spec.base)
    require_gate(blend.method, base_settings.control_vector)
    guide_entry, *further = (registry.models.get(references.get(role, "")) for role in GUIDES)
    templates = dict(zip(FURTHER_GUIDES, map(jinja_template, further), strict=True))
    systems = (spec.system, entry.system if entry else None, registry.defaults.system)
    return ResolvedPair(
        spec=spec,
        registry=registry,
        references=references,
        setup=PairSetup(
            base=None,
            guide=None,
            template=_template(spec, entry, references, registry),
            base_settings=base_settings,
            guide_settings=model_settings(spec.guide_settings, sections, "guide", spec.guide),
            guide_template=spec.guide_template or jinja_template(guide_entry),
            further_templates={role: text for role, text in templates.items() if text},
            thinking=bool(guide_entry and guide_entry.think) if spec.thinking is None else spec.thinking,
            exact_prompts=spec.exact_prompts,
            n_parallel=max(spec.n_parallel, n_search),
            n_search=n_search,
            date=spec.date or datetime.date.today(),
        ),
        blend=blend,
        sampling=sampling,
        answer=_answer(spec, sections),
        system=next((text for text in systems if text is not None), ""),
        pair_name=entry.name if entry else "",
        is_default=unnamed,
    )


def locate_files(
    resolved: ResolvedPair, roles: Collection[Role] | None = None, interaction: Interaction = NO_INTERACTION
) -> dict[Role, Path]:
    """The model files of these roles, downloaded if the spec or the user allows it.

    Args:
        resolved: The pair.
        roles: The roles to resolve; None for all.
        interaction: Callbacks to the user.

    Raises:
        ModelNotFoundError: A file is not here and was not to be fetched.
        FetchError: It could not be fetched.
    """
    spec = resolved.spec
    references = {role: name for role, name in resolved.references.items() if roles is None or role in roles}
    with interaction.downloads() as progress:
        paths = ensure_local(
            list(references.values()),
            resolved.registry,
            pull=spec.pull,
            offline=spec.offline,
            ask=interaction.confirm_download,
            progress=progress,
            note=interaction.note,
            distrusted=resolved.registry.distrusted(resolved.pair_name),
        )
    return {role: paths[reference] for role, reference in references.items()}


class PairFields(TypedDict, total=False):
    """The fields of `PairSpec` that `open_pair` takes as keywords."""

    base: str | None
    guide: str | None
    untuned: str | None
    guide2: str | None
    guide3: str | None
    base_template: str | None
    exact_prompts: Mapping[Role, str]
    guide_template: str | None
    thinking: bool | None
    date: datetime.date | None
    base_settings: ModelSettings | Mapping[str, Any]
    guide_settings: ModelSettings | Mapping[str, Any]
    n_parallel: int
    models_file: Path | None
    pull: bool
    offline: bool


@checked_keywords
def open_pair(
    pair: PairSpec | str | None = None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    **fields: Unpack[PairFields],
) -> Pair:
    """Open two models by name or path; with no names, the default pair.

    Every model that is named is opened, so that each method they allow can be chosen for an answer. An answer
    that is asked for with no settings has those of the spec, of the pair in models.toml, or its `[defaults]`.

    Args:
        pair: A pair of models.toml, or a whole spec.
        should_stop: Polled while weights are read.
        **fields: Fields of `PairSpec`; they replace those of a spec.

    Raises:
        UsageError: A name, a setting or a keyword is wrong.
        ModelNotFoundError: A file is not here and was not to be fetched, or could not be.
        LoadError: A file cannot be loaded, or memory is too small.
        PairError: A model cannot play its role.
    """
    spec = pair if isinstance(pair, PairSpec) else PairSpec(pair=pair)
    resolved = resolve_pair(replace(spec, **fields, every_model=True))
    settings = GenerationSettings(resolved.blend, resolved.sampling, resolved.answer)
    setup = replace(resolved.setup, defaults=settings, system=resolved.system)
    return Pair(setup.with_files(locate_files(resolved)), should_stop)


def _pair_entry(name: str | None, registry: Registry) -> PairEntry | None:
    if not name:
        return None
    if name not in registry.pairs:
        raise unknown_pair(name, registry)
    return registry.pairs[name]


def _blend(spec: PairSpec, sections: Sequence[PairEntry | Defaults | None]) -> BlendSettings:
    others = {role for role, named in (("base", spec.base), ("guide", spec.guide)) if named}
    keys = {  # a fitted temperature belongs to the pair's own model
        key: each
        for key, each in BLEND_KEYS.items()
        if not (each.of_pair and key.partition("_")[0] in others)
    }
    settings = settings_from(BlendSettings, configured(keys, sections), spec.blend)
    if settings.method not in METHODS:
        raise UsageError(f"there is no method {settings.method!r}", f"choose one of {', '.join(METHODS)}")
    return settings


def _answer(spec: PairSpec, sections: Sequence[PairEntry | Defaults | None]) -> AnswerSettings:
    """Limits and the form; a form replaces another one that was set farther away."""
    found: dict[str, Any] = {}
    for section in reversed(sections):
        fields = to_settings(section.settings if section else {}, ANSWER_KEYS)
        found |= of_one_form(with_texts(fields, ANSWER_KEYS, "in models.toml"))
    given = spec.answer if isinstance(spec.answer, AnswerSettings) else of_one_form(spec.answer)
    answer = settings_from(AnswerSettings, found, given)
    require_form(answer)
    return answer


def _references(
    spec: PairSpec, entry: PairEntry | None, blend: BlendSettings, sampling: SamplingSettings
) -> dict[Role, str]:
    named = _named(spec, entry)
    if "guide3" in named and "guide2" not in named:
        raise UsageError("there is a third guide and no second one", "name it as guide2")
    _require_guides(spec, named, blend)
    needed = roles_to_open(blend.method, sampling, list(named))
    return {role: name for role, name in named.items() if role in needed or spec.every_model}


def _named(spec: PairSpec, entry: PairEntry | None) -> dict[Role, str]:
    """What the user calls the models, by role; a guide that is asked for replaces all guides of the pair."""
    own = {role: None if spec.guide and role in GUIDES else getattr(entry, role, None) for role in ROLES}
    return {role: name for role in ROLES if (name := getattr(spec, role) or own[role])}


def _require_guides(spec: PairSpec, there: Collection[Role], blend: BlendSettings) -> None:
    """Raise `UsageError` for several guides where one is needed."""
    require_guides(there, blend)
    if "guide2" in there and (spec.guide_template or "guide" in spec.exact_prompts):
        given = "chat template" if spec.guide_template else "exact prompt"
        raise UsageError(f"one {given} is given, but there are several guides", "name one with --guide")


def _template(
    spec: PairSpec, entry: PairEntry | None, references: Mapping[Role, str], registry: Registry
) -> BaseTemplate:
    base = registry.models.get(references.get("base", ""))
    named = (spec.base_template, entry and entry.base_template, base and base.template)
    name = next((each for each in named if each), registry.defaults.template)
    return base_template(name, base, registry, has_untuned="untuned" in references)
