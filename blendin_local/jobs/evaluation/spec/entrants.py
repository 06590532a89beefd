"""Who answers: the models of each pair, the methods they run, and an aligned model beside them.

Here: `Entrant` and `make_entrants`.
Not here: what a method with its settings is (`variants`), how the models are loaded and run (`run`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blendin_local.core.methods import METHODS, Role, require_guides, roles_of
from blendin_local.decode.steering import require_gate
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.manifest import model_facts
from blendin_local.jobs.evaluation.folder import Folder
from blendin_local.jobs.evaluation.spec.eval_spec import EvalSpec
from blendin_local.jobs.evaluation.spec.plan import read_plan
from blendin_local.jobs.evaluation.spec.variants import (
    ALIGNED,
    Variant,
    named_variants,
    old_name_notes,
    variants_of,
    with_sampled,
)
from blendin_local.jobs.preparation import refuse_exact_prompts, settle
from blendin_local.models.store import Store
from blendin_local.pair.resolve import Interaction, PairSpec, ResolvedPair, locate_files
from blendin_local.pair.roles import check_roles


@dataclass(frozen=True)
class Entrant:
    """Models that are loaded together, and what they run.

    Attributes:
        pair: Name of the pair in files and tables.
        resolved: The models and their settings.
        paths: The files, by role.
        models: Their facts (file, size, sha256), by role.
        variants: What they run.
        likelihood_roles: Roles that score options by log-likelihood.
        stop: Stop strings of every method: those of the base's template.
    """

    pair: str
    resolved: ResolvedPair
    paths: Mapping[Role, Path]
    models: Mapping[str, Any]
    variants: tuple[Variant, ...]
    likelihood_roles: tuple[Role, ...] = ()
    stop: tuple[str, ...] = ()


def make_entrants(
    spec: EvalSpec, interaction: Interaction, on_note: Callable[[str], None]
) -> tuple[Entrant, ...]:
    """The models of each pair and what they run; missing files are downloaded where that was asked for.

    Args:
        spec: What is evaluated.
        interaction: Callbacks to the user while models are resolved and downloaded.
        on_note: Called with notices: the pair used if none was named, and settings that have new names.

    Raises:
        UsageError: A name or a setting is wrong.
        ModelNotFoundError: A file is not here.
        PairError: A guide cannot be prompted, or a method lacks its control vector.
    """
    refuse_exact_prompts(spec.pair, "question")
    if "method" in spec.pair.blend:
        raise UsageError("--method names one method", "name several with --methods")
    chosen = [replace(spec.pair, pair=name, base=None, guide=None) for name in spec.pairs] or [spec.pair]
    for note in old_name_notes(named_variants(",".join(spec.methods), spec.sweeps)):
        on_note(note)
    maker = _Maker(spec, interaction, on_note)
    return tuple(entrant for pair in chosen for entrant in maker.entrants(pair))


@dataclass(frozen=True)
class _Maker:
    """Makes the entrants of one pair after another."""

    spec: EvalSpec
    interaction: Interaction
    on_note: Callable[[str], None]

    def entrants(self, pair: PairSpec) -> list[Entrant]:
        """The pair, and the aligned model where one was named."""
        guided = self._guided(pair)
        return [guided] if self.spec.aligned is None else [guided, self._aligned(pair, guided)]

    def _guided(self, pair: PairSpec) -> Entrant:
        methods = ",".join(self.spec.methods)
        named = named_variants(methods, self.spec.sweeps)
        roles = {role for variant in named for role in roles_of(variant.method)}
        resolved = self._settle(pair, _method_with(roles))
        variants = self._with_sampled(variants_of(methods, self.spec.sweeps, resolved.blend))
        for variant in variants:
            require_gate(variant.method, resolved.setup.base_settings.control_vector)
            require_guides(resolved.references, variant.blend(resolved.blend))
        further = {role for variant in named for role in roles_of(variant.method, resolved.references)}
        paths = self._locate(resolved, roles | further)
        alone: list[Role] = [role for role in roles_of("blendin") if any(v.method == role for v in variants)]
        return Entrant(
            pair=resolved.pair_name or "+".join(path.stem for path in paths.values()),
            resolved=resolved,
            paths=paths,
            models=model_facts(paths, Store.default()),
            variants=variants,
            likelihood_roles=tuple(alone) if self.spec.likelihood else (),
            stop=resolved.setup.template.stop,
        )

    def _aligned(self, pair: PairSpec, guided: Entrant) -> Entrant:
        """The aligned model of the base, alone; everything else is as for the pair."""
        resolved = self._settle(replace(pair, pair=None, base=None, guide=self.spec.aligned), "guide")
        paths = self._locate(resolved, {"guide"})
        return replace(
            guided,
            resolved=resolved,
            paths=paths,
            models=model_facts(paths, Store.default()),
            variants=self._with_sampled((Variant(ALIGNED, "guide"),)),
            likelihood_roles=(),
        )

    def _with_sampled(self, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        spec = self.spec
        return with_sampled(variants, temperature=spec.temperature, min_p=spec.min_p, seeds=spec.seeds)

    def _settle(self, pair: PairSpec, method: str) -> ResolvedPair:
        """The pair with every model that is named, with the date on which the evaluation was started."""
        method_spec = replace(pair, blend={**pair.blend, "method": method}, every_model=True)
        return settle(method_spec, self.interaction, self.on_note).dated(
            _start_date(Folder(Path(self.spec.out)))
        )

    def _locate(self, resolved: ResolvedPair, roles: Set[Role]) -> dict[Role, Path]:
        """The files; a model that cannot be prompted is refused here, before anything runs."""
        paths = locate_files(resolved, roles, self.interaction)
        for notice in check_roles(resolved, paths, roles):
            self.on_note(f"note: {notice}")
        return paths


def _method_with(roles: Set[Role]) -> str:
    """A method that needs all these models, so that all of them must be named."""
    return next(name for name in METHODS if roles <= set(roles_of(name)))


def _start_date(folder: Folder) -> datetime.date | None:
    """The date that templates were given when the evaluation was started; None for a new one."""
    plan = read_plan(folder)
    dates = [facts.get("date") for facts in plan.pairs.values()] if plan else []
    return next((datetime.date.fromisoformat(text) for text in dates if isinstance(text, str)), None)
