"""Every name that a user can type for a model or a pair, and the names near to a misspelt one.

Here: `known_names`, for completion: quick, quiet, without llama.cpp and numpy; `suggestion`, the hint of an
error; `unknown_pair`.
Not here: what the names mean (`models.registry`, `models.references`).
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from blendin_local.errors import BlendinError, UsageError
from blendin_local.models.other_tools.find import other_models
from blendin_local.models.other_tools.found import tool_of
from blendin_local.models.quantizations import is_model_file
from blendin_local.models.registry import Registry, load_registry
from blendin_local.models.store import Store

Kind = Literal["model", "pair"]
KINDS: tuple[Kind, ...] = ("model", "pair")
ROLE_OPTIONS = {"base": "--base", "instruct": "--guide", "any": "--base"}
LIKENESS = 0.5  # difflib's ratio from which a name is near
AS_LIKE = 0.03  # by how much the ratio of a second suggestion of a kind may be lower
MAX_OF_A_KIND = 2


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The names of this machine.

    Attributes:
        models: Those of models.toml, then references of other files that are here.
        pairs: Those of models.toml.
        templates: Likewise the plain-text templates.
    """

    models: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()


def known_names(models_file: Path | None = None) -> KnownNames:
    """The names that can be typed here; none where models.toml cannot be read. It asks and prints nothing.

    Args:
        models_file: A models.toml that comes before the others, as with `--models`.
    """
    try:
        registry = load_registry(models_file, accept=lambda _: False)
        store = Store.default()
        files = [path for path in store.files(store.models / "hub") if is_model_file(path.name)]
        downloaded = [store.reference_of(path) for path in files]
    except (BlendinError, OSError):
        return KnownNames()
    others = [model.reference for model in other_models() if not model.problem]
    return KnownNames(
        models=(*registry.models, *downloaded, *others),
        pairs=tuple(registry.pairs),
        templates=tuple(registry.templates),
    )


def suggestion(name: str, registry: Registry, *, asked_for: Kind, options: bool = True) -> str:
    """A question that offers the near models and pairs; empty if none is near.

    Args:
        name: What was typed.
        registry: The names of models.toml.
        asked_for: The kind of name that was expected; names of the other kind come with their option.
        options: Whether models and pairs have options of their own, as in `blendin run`; `blendin show` takes
            both in one place.
    """
    offers = []
    for kind, near in _near(name, registry):
        option = ROLE_OPTIONS.get(registry.models[near].role if near in registry.models else "any", "--base")
        typed = f"{'--pair' if kind == 'pair' else option} {shlex.quote(near)}"
        offers.append(f"the {kind} {near}" + (f" ({typed})" if options and kind != asked_for else ""))
    *first, last = offers or [""]
    return f"did you mean {', '.join(first) + ' or ' if first else ''}{last}?" if last else ""


def unknown_pair(name: str, registry: Registry) -> UsageError:
    """The error for a pair that does not exist; it offers near pairs and models."""
    hint = suggestion(name, registry, asked_for="pair")
    return UsageError(f"there is no pair {name!r}", hint or "blendin ls --pairs lists the pairs")


def _near(name: str, registry: Registry) -> Iterator[tuple[Kind, str]]:
    """The names most like `name`: of each kind the best and those hardly worse."""
    spelled = {
        "model": {each: each for each in registry.models} | _short_names(),
        "pair": {each: each for each in registry.pairs},
    }
    for kind in KINDS:
        likeness = [(_likeness(name, text), full) for text, full in spelled[kind].items()]
        ranked = sorted((each for each in likeness if each[0] >= LIKENESS), key=lambda each: -each[0])
        near = [full for ratio, full in ranked if ratio >= ranked[0][0] - AS_LIKE]
        yield from ((kind, full) for full in list(dict.fromkeys(near))[:MAX_OF_A_KIND])


def _short_names() -> dict[str, str]:
    """References to usable files of other programs, by the name that each program gives them."""
    found = [model for model in other_models() if not model.problem and tool_of(model.reference)]
    return {model.reference.partition(":")[2]: model.reference for model in found}


def _likeness(left: str, right: str) -> float:
    left = left.partition(":")[2] if tool_of(left) else left
    return difflib.SequenceMatcher(None, left.lower(), right.lower()).ratio()
