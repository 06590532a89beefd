"""Models that are to be used now: where their files are, fetched first if that is wanted.

Here: `ensure_local`.
Not here: what a reference means (`models.references`), how files are fetched (`models.fetch`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from blendin_local.errors import ModelNotFoundError
from blendin_local.models.fetch import fetch
from blendin_local.models.references import Resolved, is_offline, resolve
from blendin_local.models.registry import Registry
from blendin_local.models.store import Store

Progress = Callable[[int, int], None]


def ensure_local(
    references: Sequence[str],
    registry: Registry,
    *,
    pull: bool = False,
    offline: bool = False,
    ask: Callable[[Sequence[Resolved]], bool] | None = None,
    progress: Callable[[Resolved], Progress] = lambda _: lambda _done, _total: None,
    note: Callable[[str], None] = lambda _: None,
    store: Store | None = None,
    distrusted: Path | None = None,
) -> dict[str, Path]:
    """The local files of references.

    Args:
        references: What the user named.
        registry: The names.
        pull: Fetch what is missing without asking.
        offline: Never use the network.
        ask: Asked once about all that is missing; None means no.
        progress: Makes the listener for one download.
        note: Told in a sentence what a user may want to know.
        store: Where fetched files lie.
        distrusted: The models.toml of the working directory, where one of its pairs names the references.

    Raises:
        ModelNotFoundError: Something is missing and is not to be fetched; the message has the command.
    """
    store = store or Store.default()
    offline = is_offline(offline)
    resolved = [
        resolve(name, registry, store=store, offline=offline, distrusted=distrusted) for name in references
    ]
    missing = [item for item in resolved if item.path is None]
    wanted = (pull and all(item.trusted for item in missing)) or (ask is not None and ask(missing))
    if missing and not wanted:
        raise _not_here(missing)
    paths = {item.reference: item.path for item in resolved if item.path is not None}
    for item in missing:
        paths[item.reference] = fetch(item, store, progress=progress(item), note=note)
    return paths


def _not_here(missing: Sequence[Resolved]) -> ModelNotFoundError:
    """What is missing, and the command that fetches it."""
    names = " and ".join(item.reference for item in missing)
    are = "is" if len(missing) == 1 else "are"
    commands = " && ".join(item.command for item in missing)
    file = next((item.distrusted for item in missing if item.distrusted), None)
    if file is None:
        return ModelNotFoundError(f"{names} {are} not on this machine", f"run: {commands} (or add --pull)")
    return ModelNotFoundError(
        f"{names} {are} not on this machine, and it is {file} that wants to have it fetched",
        f"if you trust that file, run: {' && '.join(f'{item.command} --yes' for item in missing)}",
    )
