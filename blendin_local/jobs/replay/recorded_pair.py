"""The pair and the settings that a stored answer was made with, found again.

Here: `find_models`, which models of this machine have the recorded files; `recorded_spec` and
`with_recorded_prompts`, the recorded settings and templates where no others are given; `differences`, what is
not as it was.
Not here: reading the record (`stored_answer`), opening the pair (`pair`).
A record has the name, size and time of a file, no path and no checksum.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, cast

from blendin_local.core.methods import Role
from blendin_local.core.prompts import BaseTemplate, OwnChatTemplate, PlainTemplate
from blendin_local.core.record_json import by_current_role
from blendin_local.core.roles import GUIDES
from blendin_local.errors import ModelNotFoundError, UsageError
from blendin_local.jobs.inventory import list_models
from blendin_local.jobs.replay.stored_answer import StoredAnswer
from blendin_local.models.registry import Registry
from blendin_local.models.store import Store
from blendin_local.pair.resolve import PairSpec, ResolvedPair
from blendin_local.settings import ModelSettings, of_one_form, require_types

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


def recorded_models(stored: StoredAnswer) -> dict[str, Mapping[str, Any]]:
    """What the record says of each model: `file`, `size`, `mtime` and how it was run; by role."""
    models = stored.signature.get("models")
    if not isinstance(models, dict) or not all(isinstance(facts, dict) for facts in models.values()):
        return {}
    return by_current_role(models)


def find_models(
    stored: StoredAnswer, roles: Collection[str], registry: Registry, store: Store
) -> dict[str, str]:
    """References of the models on this machine that have the recorded files, by role.

    Args:
        stored: The answer.
        roles: The roles whose models are looked for, where the record has them.
        registry: The names.
        store: The cache.

    Raises:
        ModelNotFoundError: A file is not among the known models.
        UsageError: Several files have its name and size, and none its time.
    """
    wanted = {role: facts for role, facts in recorded_models(stored).items() if role in roles}
    if not wanted:
        return {}
    known: dict[Path, str] = {}
    for row in list_models(registry, store):
        if row.path is not None:
            known.setdefault(row.path.resolve(), row.reference)
    return {role: _reference(role, facts, known) for role, facts in wanted.items()}


def _option(role: str) -> str:
    return "--guide" if role in GUIDES else f"--{role}"


def _reference(role: str, facts: Mapping[str, Any], known: Mapping[Path, str]) -> str:
    name, size, time = facts.get("file"), facts.get("size"), facts.get("mtime")
    alike = {path: ref for path, ref in known.items() if path.name == name and path.stat().st_size == size}
    found = {path: ref for path, ref in alike.items() if path.stat().st_mtime == time} or alike
    if not found:
        raise ModelNotFoundError(
            f"the {role} was {name!s:.100}, which is none of the models known here",
            f"name its file with {_option(role)}",
        )
    if len(found) > 1:
        raise UsageError(
            f"the {role} was {name}, and several models have this file name and size",
            f"choose one with {_option(role)}: {', '.join(sorted(found.values()))}",
        )
    return next(iter(found.values()))


def recorded_spec(stored: StoredAnswer, given: PairSpec) -> PairSpec:
    """What is given, completed by the settings that the answer was made with.

    Raises:
        UsageError: The record cannot be read.
    """
    models, signature = recorded_models(stored), stored.signature
    try:
        date = signature.get("date")
        return replace(
            given,
            blend=asdict(stored.blend) | dict(given.blend),
            sampling=asdict(stored.sampling) | dict(given.sampling),
            answer=asdict(stored.answer) | of_one_form(given.answer),
            base_settings=_run_as("base", models, given.base_settings),
            guide_settings=_run_as("guide", models, given.guide_settings),
            thinking=bool(signature.get("thinking")) if given.thinking is None else given.thinking,
            date=datetime.date.fromisoformat(date) if date and given.date is None else given.date,
            exact_prompts=_exact_prompts(stored) | dict(given.exact_prompts),
        )
    except UNREADABLE as error:
        raise _unreadable(stored, error) from error


def _run_as(
    role: str, models: Mapping[str, Mapping[str, Any]], given: ModelSettings | Mapping[str, Any]
) -> dict[str, Any]:
    """How a model is run: as given, else as it was; the threads only if they were given then."""
    facts, known = models.get(role, {}), _as_dict(given)
    vector = facts.get("control_vector")
    if vector and "control_vector" not in known:
        layers = vector.get("layers")
        steered = f"{vector['file']!s:.100} x {vector['scale']:g}" + (f", layers {layers}" if layers else "")
        named = f"FILE:{vector['scale']:g}" + (f":{layers}" if layers else "")
        raise UsageError(
            f"the {role} was steered by the control vector {steered}",
            f"name the file with --{role}-control-vector {named}, or none",
        )
    names = {each.name for each in fields(ModelSettings)} - {"control_vector"}
    values = {name: value for name, value in facts.items() if name in names}
    if facts.get("threads_auto"):
        del values["threads"]
    require_types(ModelSettings, values)
    return values | known


def _as_dict(settings: ModelSettings | Mapping[str, Any]) -> dict[str, Any]:
    return asdict(settings) if isinstance(settings, ModelSettings) else dict(settings)


def _exact_prompts(stored: StoredAnswer) -> dict[Role, str]:
    """The exact prompts of an answer, as far as the record holds them."""
    digests = stored.signature.get("exact_prompts") or {}
    return {
        cast("Role", role): stored.prompts[role]
        for role, digest in digests.items()
        if role in stored.prompts and _digest(stored.prompts[role]) == digest
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def with_recorded_prompts(resolved: ResolvedPair, stored: StoredAnswer) -> ResolvedPair:
    """The pair with the template that the base was prompted with, unless another is given.

    Raises:
        UsageError: The record cannot be read, or an exact prompt or the question is in neither the record nor
            the spec.
    """
    template, spec = stored.signature.get("template"), resolved.spec
    for role in stored.signature.get("exact_prompts") or {}:
        if role in resolved.references and role not in spec.exact_prompts:
            raise UsageError(
                f"{stored.name} does not hold the exact prompt that the {role} was given",
                f"give it again with --{role}-prompt-file",
            )
    if not stored.messages and not set(resolved.references) - {"untuned"} <= set(spec.exact_prompts):
        raise UsageError(
            f"{stored.name} does not hold the question that it answers",
            "ask it again with run --json, run --trace FILE or batch --steps: all of them keep it now",
        )
    if template is None or spec.base_template is not None:
        return resolved
    try:
        return replace(resolved, setup=replace(resolved.setup, template=_template(template)))
    except UNREADABLE as error:
        raise _unreadable(stored, error) from error


def _template(record: Mapping[str, Any]) -> BaseTemplate:
    values = {**record, "stop": tuple(record["stop"])}
    return OwnChatTemplate(**values) if "source" in record else PlainTemplate(**values)


def _unreadable(stored: StoredAnswer, error: Exception) -> UsageError:
    return UsageError(
        f"the signature of {stored.name} cannot be read: {error}", "use the version of blendin that wrote it"
    )


def differences(stored: StoredAnswer, signature: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about the files and prompts of a new answer that are not those of the stored one.

    Args:
        stored: The stored answer.
        signature: Of the new one.
    """
    before = recorded_models(stored)
    for role, facts in signature["models"].items():
        old = before.get(role)
        if old is not None and (old.get("file"), old.get("size")) != (facts["file"], facts["size"]):
            yield (
                f"the {role} is {facts['file']} of {facts['size']} bytes; the stored answer was made with "
                f"{old.get('file')!s:.100} of {old.get('size')!s:.20}"
            )
        if old is not None and (before_it := _vector(old)) != (now := _vector(facts)):
            yield f"the {role} is steered by {now}; the stored answer was made with {before_it}"
    prompts = by_current_role(stored.signature.get("prompts") or {})
    for role, digest in signature["prompts"].items():
        if role in prompts and prompts[role] != digest:
            yield (
                f"the prompt of the {role} is not the one that the stored answer was made with; "
                "what follows may differ by that too"
            )


def _vector(facts: Mapping[str, Any]) -> str:
    """A model's control vector in words."""
    vector = facts.get("control_vector") or {}
    if not vector:
        return "no control vector"
    layers = f", layers {vector['layers']!s:.20}" if "layers" in vector else ""
    return (
        f"{vector.get('file')!s:.100} x {vector.get('scale')}{layers} (sha256 {vector.get('sha256')!s:.12})"
    )
