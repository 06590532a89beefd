"""Which models and how many sequences an answer needs: those of its method, and those of a search.

Here: `roles_to_open`, before anything is loaded; `roles_of_answer`, of a loaded pair.
Not here: which roles a method asks (`core.methods`), which models are meant (`pair.resolve`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from blendin_local.core.methods import Role, required_roles, roles_of
from blendin_local.decode.search import SCORING
from blendin_local.errors import PairError, UsageError
from blendin_local.settings import BlendSettings, SamplingSettings

WANTED: Mapping[Role, str] = {
    "base": "a base",
    "guide": "a guide",
    "untuned": "a third model: the guide before it was tuned",
}
HINTS: Mapping[Role, str] = {
    "base": "name one with --base, or choose --method guide",
    "guide": "name one with --guide, or choose --method base",
    "untuned": "name one with --untuned, or as `untuned` of the pair in models.toml",
}
MODEL_ORDER: tuple[Role, ...] = ("base", "guide", "untuned")


def with_scoring(roles: Collection[Role], sampling: SamplingSettings) -> tuple[Role, ...]:
    """The roles with those that a search scores by, if there is a search."""
    needed = {*roles, *SCORING} if sampling.search else {*roles}
    return tuple(role for role in MODEL_ORDER if role in needed)


def roles_to_open(
    method: str, sampling: SamplingSettings, named: Mapping[Role, str | None]
) -> tuple[Role, ...]:
    """The roles that an answer needs, each of which has a model.

    Args:
        method: The method's name.
        sampling: Whether there is a search.
        named: The models that were named.

    Raises:
        UsageError: One is missing.
    """
    of_method = roles_of(method)
    for role in with_scoring(of_method, sampling):
        if not named[role]:
            needs = f"method {method} needs" if role in of_method else "a search needs"
            hint = HINTS[role] if role in of_method else f"{HINTS[role].split(',')[0]}, or leave out --search"
            raise UsageError(f"{needs} {WANTED[role]}", hint)
    return with_scoring(of_method, sampling)


def roles_of_answer(
    blend: BlendSettings, sampling: SamplingSettings, opened: Collection[Role], n_slots: int
) -> tuple[Role, ...]:
    """The roles that an answer of a loaded pair needs.

    Args:
        blend: The method.
        sampling: Whether there is a search.
        opened: The roles of the models that are loaded.
        n_slots: How many sequences each model has.

    Raises:
        UsageError: There is no such method.
        PairError: A model that it needs is not loaded, or there are too few sequences for a search.
    """
    roles = with_scoring(required_roles(blend.method, opened), sampling)
    missing = next((role for role in roles if role not in opened), None)
    if missing:
        raise PairError(
            f"a search needs {WANTED[missing]}, and none was opened",
            f"name one with --{missing}, or leave out the search",
        )
    size = sampling.search_size
    if size is not None and size.n_slots > n_slots:
        raise PairError(
            f"search {size} needs {size.n_slots} sequences of each model ({size.n_sequences} to write, one "
            f"to score), and the pair was opened with {n_slots}",
            f"open it with n_parallel={size.n_slots}, as blendin run --search {size} does",
        )
    return roles
