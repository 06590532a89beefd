"""Which models and how many sequences an answer needs: those of its method, and those of a search.

Here: `roles_to_open`, before anything is loaded; `roles_of_answer`, of a loaded pair; `require_search`.
Not here: which roles a method asks, and whether it goes with several guides (`core.methods`), which models
are meant (`pair.resolve`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from blendin_local.core.methods import required_roles, roles_of
from blendin_local.core.roles import FURTHER_GUIDES, ROLES, Role
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


def roles_to_open(method: str, sampling: SamplingSettings, there: Collection[Role]) -> tuple[Role, ...]:
    """The roles that an answer needs, each of which has a model.

    Args:
        method: The method's name.
        sampling: Whether there is a search.
        there: The roles whose models were named.

    Raises:
        UsageError: One is missing, or a search was asked for with several guides.
    """
    roles = roles_of(method, there)
    missing = [role for role in roles if role not in there]
    if missing:
        raise UsageError(f"method {method} needs {WANTED[missing[0]]}", HINTS[missing[0]])
    require_search(sampling, there)
    return _with_scoring(roles, sampling)


def require_search(sampling: SamplingSettings, there: Collection[Role]) -> None:
    """Raise `UsageError` where a search is asked for and these roles do not allow one.

    Its score compares one guide with that guide before it was tuned.
    """
    if not sampling.search:
        return
    missing = next((role for role in SCORING if role not in there), None)
    if missing:
        named = HINTS[missing].partition(",")[0]
        raise UsageError(f"a search needs {WANTED[missing]}", f"{named}, or leave out --search")
    if any(role in there for role in FURTHER_GUIDES):
        raise UsageError(
            "a search works with one guide: the untuned model is the partner of one",
            "name one with --guide, or leave out --search",
        )


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
        UsageError: There is no such method, or the settings do not go with these models.
        PairError: A model that the method needs is not loaded, or there are too few sequences for a search.
    """
    roles = required_roles(blend, opened)
    require_search(sampling, opened)
    size = sampling.search_size
    if size is not None and size.n_slots > n_slots:
        raise PairError(
            f"search {size} needs {size.n_slots} sequences of each model ({size.n_sequences} to write, one "
            f"to score), and the pair was opened with {n_slots}",
            f"open it with n_parallel={size.n_slots}, as blendin run --search {size} does",
        )
    return _with_scoring(roles, sampling)


def _with_scoring(roles: Collection[Role], sampling: SamplingSettings) -> tuple[Role, ...]:
    """The roles with those that a search scores by, if there is a search."""
    needed = {*roles, *SCORING} if sampling.search else {*roles}
    return tuple(role for role in ROLES if role in needed)
