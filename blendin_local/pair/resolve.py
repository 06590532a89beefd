"""From names to a pair in memory: references, settings of models.toml, files that are here.

Here: `PairRequest`, what a user asked for; `plan`, what that means; `open_pair`, the way in for Python.
Not here: how names are read and files fetched (`models`), the pair itself (`pair`).
Which value wins: what was asked for, then the pair's, then `[defaults]`, then the built-in default.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blendin_local.core.methods import METHODS, Role, roles_of
from blendin_local.core.prompts import PlainTemplate
from blendin_local.errors import UsageError
from blendin_local.models.entries import Defaults, ModelEntry, PairEntry, Preferences
from blendin_local.models.local import ensure_local
from blendin_local.models.reading import read_small_text
from blendin_local.models.registry import Registry, load_registry
from blendin_local.models.schema import nearest
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AUTO_ALPHA, BlendSettings, ModelSettings

WANTED: Mapping[Role, str] = {
    "base": "a base",
    "guide": "a guide",
    "anti": "a third model: the guide before it was tuned",
}
HINTS: Mapping[Role, str] = {
    "base": "name one with --base, or choose --method guide",
    "guide": "name one with --guide, or choose --method base",
    "anti": "name one with --anti, or as anti of the pair in models.toml",
}


@dataclass(frozen=True)
class PairRequest:
    """What a user asked for; None and empty mean: not said.

    Attributes:
        pair: A pair of models.toml.
        base: A reference for the base.
        guide: A reference for the guide.
        anti: A reference for the third model.
        base_template: A template of models.toml.
        exact_prompts: Prompts that stand for rendered ones.
        guide_template: A Jinja template instead of the guide's own.
        thinking: Whether a thinking guide may think.
        base_settings: Fields of `ModelSettings` for the base; None for a number: choose it, whatever
            models.toml says.
        guide_settings: Fields of `ModelSettings` for the guide.
        blend: Fields of `BlendSettings`; an alpha of None means `auto`.
        both: Whether to open every model that is named, also where the method needs fewer.
        n_parallel: How many answers may be made at once.
        date: What a guide's template that asks for the date is told; None is today's.
    """

    pair: str | None = None
    base: str | None = None
    guide: str | None = None
    anti: str | None = None
    base_template: str | None = None
    exact_prompts: Mapping[Role, str] = field(default_factory=dict)
    guide_template: str | None = None
    thinking: bool | None = None
    base_settings: Mapping[str, Any] = field(default_factory=dict)
    guide_settings: Mapping[str, Any] = field(default_factory=dict)
    blend: Mapping[str, Any] = field(default_factory=dict)
    both: bool = False
    n_parallel: int = 1
    date: datetime.date | None = None


@dataclass(frozen=True)
class ResolvedPair:
    """What a request means.

    Attributes:
        references: What to open, by role.
        template: The base's template.
        blend: The merged settings.
        system: System text of the pair, if it has one.
        max_tokens: Length limit of the pair, if it has one.
        pair_name: The pair whose settings were taken, empty if two models were named.
        chosen_for_user: Whether nothing was named, so that the default pair was taken.
        date: What a guide's template that asks for the date is told.
    """

    request: PairRequest
    references: Mapping[Role, str]
    template: PlainTemplate
    blend: BlendSettings
    base_settings: ModelSettings
    guide_settings: ModelSettings
    guide_template: str | None
    thinking: bool
    system: str = ""
    max_tokens: int | None = None
    pair_name: str = ""
    chosen_for_user: bool = False
    date: datetime.date = field(default_factory=datetime.date.today)

    def setup(self, paths: Mapping[Role, Path]) -> PairSetup:
        """The setup of the pair, once its files are here."""
        return PairSetup(
            base=paths.get("base"),
            guide=paths.get("guide"),
            anti=paths.get("anti"),
            template=self.template,
            base_settings=self.base_settings,
            guide_settings=self.guide_settings,
            guide_template=self.guide_template,
            thinking=self.thinking,
            exact_prompts=self.request.exact_prompts,
            n_parallel=self.request.n_parallel,
            date=self.date,
        )


def plan(request: PairRequest, registry: Registry) -> ResolvedPair:
    """Work out which models are meant and which settings hold.

    Raises:
        UsageError: A name is unknown, or the method lacks one of its models.
    """
    unnamed = not (request.pair or request.base or request.guide)
    entry = _pair_entry(request.pair or (registry.defaults.pair if unnamed else None), registry)
    blend = _blend(request, entry, registry.defaults)
    references = _references(request, entry, blend.method)
    base_entry = registry.models.get(references.get("base", ""))
    guide_entry = registry.models.get(references.get("guide", ""))
    return ResolvedPair(
        request=request,
        references=references,
        template=_template(request, entry, base_entry, registry),
        blend=blend,
        base_settings=_model_settings(request.base_settings, entry, registry.defaults, "base"),
        guide_settings=_model_settings(request.guide_settings, entry, registry.defaults, "guide"),
        guide_template=request.guide_template or _chat_template(guide_entry),
        thinking=bool(guide_entry and guide_entry.think) if request.thinking is None else request.thinking,
        system=_first("system", entry, registry.defaults) or "",
        max_tokens=_first("max_tokens", entry, registry.defaults),
        pair_name=entry.name if entry else "",
        chosen_for_user=unnamed,
        date=request.date or datetime.date.today(),
    )


def open_pair(
    pair: str | None = None,
    *,
    base: str | None = None,
    guide: str | None = None,
    pull: bool = False,
    offline: bool = False,
    models_file: Path | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    **request: Any,  # noqa: ANN401 - the remaining fields of PairRequest
) -> Pair:
    """Open two models by name or path; with no names, the default pair.

    Args:
        pair: A pair of models.toml.
        base: A path, a name of models.toml, `user/repo[:QUANT]` or `hf://user/repo/file.gguf`.
        guide: Likewise.
        pull: Fetch files that are not here.
        offline: Never use the network.
        models_file: A models.toml that comes before the others.
        should_stop: Polled while weights are read.
        **request: Other fields of `PairRequest`.

    Raises:
        UsageError: A name or a setting is wrong.
        ModelNotFoundError: A file is not here and was not to be fetched, or could not be.
        LoadError: A file cannot be loaded, or memory is too small.
        PairError: A model cannot play its role.
    """
    registry = load_registry(models_file)
    request.setdefault("both", True)
    opened = plan(PairRequest(pair=pair, base=base, guide=guide, **request), registry)
    wanted = list(opened.references.values())
    distrusted = registry.distrusted(opened.pair_name)
    paths = ensure_local(wanted, registry, pull=pull, offline=offline, distrusted=distrusted)
    by_role = {role: paths[reference] for role, reference in opened.references.items()}
    return Pair(opened.setup(by_role), should_stop)


def _pair_entry(name: str | None, registry: Registry) -> PairEntry | None:
    if not name:
        return None
    if name not in registry.pairs:
        known = ", ".join(nearest(name, registry.pairs)) or "none"
        raise UsageError(f"there is no pair {name!r}", f"near to it: {known}")
    return registry.pairs[name]


def _first(field_name: str, *places: Preferences | None) -> Any:  # noqa: ANN401 - any setting
    """The first place that says something about a setting."""
    values = (getattr(place, field_name, None) for place in places if place is not None)
    return next((value for value in values if value is not None), None)


def _blend(request: PairRequest, entry: PairEntry | None, defaults: Defaults) -> BlendSettings:
    names = {
        "method": "method",
        "threshold": "threshold",
        "alpha": "alpha",
        "agreement_bonus": "agreement_bonus",
        "top_k": "top_k_blend",
        "cap": "cap",
        "bridge": "bridge",
    }
    if not request.base:
        names["base_temperature"] = "base_temperature"  # it belongs to the pair's own model
    if not request.guide:
        names["guide_temperature"] = "guide_temperature"
    given = {name: _first(key, entry, defaults) for name, key in names.items()}
    chosen = {name: value for name, value in given.items() if value is not None} | dict(request.blend)
    if chosen.get("alpha") == AUTO_ALPHA:
        chosen["alpha"] = None
    settings = BlendSettings(**chosen)
    if settings.method not in METHODS:
        raise UsageError(f"there is no method {settings.method!r}", f"choose one of {', '.join(METHODS)}")
    return settings


def _references(request: PairRequest, entry: PairEntry | None, method: str) -> dict[Role, str]:
    named: dict[Role, str | None] = {
        "base": request.base or (entry.base if entry else None),
        "guide": request.guide or (entry.guide if entry else None),
        "anti": request.anti or (entry.anti if entry else None),
    }
    needed = roles_of(method)
    missing = [role for role in needed if not named[role]]
    if missing:
        raise UsageError(f"method {method} needs {WANTED[missing[0]]}", HINTS[missing[0]])
    return {role: name for role, name in named.items() if name and (role in needed or request.both)}


def _template(
    request: PairRequest, entry: PairEntry | None, base: ModelEntry | None, registry: Registry
) -> PlainTemplate:
    own = entry.base_template if entry else None
    name = request.base_template or own or (base.template if base else "") or registry.defaults.template
    if name not in registry.templates:
        raise UsageError(f"there is no template {name!r}", f"choose one of {', '.join(registry.templates)}")
    return registry.templates[name]


def _chat_template(guide: ModelEntry | None) -> str | None:
    path = guide.chat_template if guide else None
    return read_small_text(path) if path else None


def _model_settings(
    given: Mapping[str, Any], entry: PairEntry | None, defaults: Defaults, role: Role
) -> ModelSettings:
    names = ("ctx_size", "n_gpu_layers", "threads", "swa_full")
    chosen = {name: _first(name, entry, defaults) for name in names}
    if role == "guide":
        own = {name: _first(f"guide_{name}", entry, defaults) for name in ("ctx_size", "n_gpu_layers")}
        chosen |= {name: value for name, value in own.items() if value is not None}
    return ModelSettings(**{**{name: v for name, v in chosen.items() if v is not None}, **given})
