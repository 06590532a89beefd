"""What the verbs about model files do: ask, download, list, remove, report.

Here: one function per verb; the listing or JSON goes to stdout, everything else to stderr.
Not here: options (`cli.manage.command`), records (`jobs.inventory`, `jobs.doctor`), tables
(`views.inventory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from blendin_local.cli.common.asking import acceptance, ask, can_ask, fetch_text
from blendin_local.cli.common.downloads import DownloadBars, download_bars
from blendin_local.cli.common.history import keeps_history
from blendin_local.cli.common.printing import print_data, print_json, print_note
from blendin_local.cli.common.screen import open_consoles
from blendin_local.errors import LoadError, ModelNotFoundError, UsageError
from blendin_local.jobs import inventory, removal
from blendin_local.jobs.doctor import examine
from blendin_local.jobs.inventory import ModelRow, PairRow
from blendin_local.models.entries import PairEntry
from blendin_local.models.fetch import fetch
from blendin_local.models.licenses import license_text
from blendin_local.models.names import unknown_pair
from blendin_local.models.references import Resolved, is_offline, resolve
from blendin_local.models.registry import Registry, load_registry
from blendin_local.models.store import Progress, Store
from blendin_local.views.doctor import diagnosis_view
from blendin_local.views.inventory import (
    ListingView,
    PairsView,
    facts_view,
    pair_view,
    removal_view,
)
from blendin_local.views.sizes import megabytes
from blendin_local.views.theme import Consoles


@dataclass(frozen=True)
class ShowOptions:
    """How much `show` prints."""

    ctx_size: int | None = None
    origin: bool = False
    template: bool = False
    as_json: bool = False


def pull(
    references: Sequence[str], *, models_file: Path | None, yes: bool, offline: bool, as_json: bool
) -> None:
    """Download what is missing; say where each file is."""
    store, consoles = Store.default(), open_consoles(models_file=models_file)
    registry = load_registry(models_file, accept=acceptance(consoles.err, yes=yes))
    names, off = inventory.expand(references, registry), is_offline(offline)
    found = [
        resolve(name, registry, store=store, offline=off, check=False, distrusted=file)
        for name, file in names.items()
    ]
    _require_trust(found, store, yes, consoles.err)
    fetched = []
    with download_bars(consoles.err) as bars:
        for item in found:
            listener = _Listener(item, bars)
            path = fetch(item, store, progress=listener, note=bars.note)
            fetched.append({"reference": item.reference, "path": str(path), "fetched": listener.begun})
            size = megabytes(path.stat().st_size)
            bars.note(
                f"{item.reference}: {size} in {path}"
                if listener.begun
                else f"{item.reference}: already downloaded ({size})"
            )
    if as_json:
        _print_json({"models": fetched})


class _Listener:
    """Follows a download from its first byte: a file that is not downloaded shows no bar and no licence."""

    def __init__(self, item: Resolved, bars: DownloadBars) -> None:
        self._item, self._bars = item, bars
        self._listen: Progress | None = None

    @property
    def begun(self) -> bool:
        """Whether anything was fetched."""
        return self._listen is not None

    def __call__(self, done: int, total: int) -> None:
        if self._listen is None:
            self._listen = self._bars.start(self._item)
        self._listen(done, total)


@dataclass(frozen=True)
class ListOptions:
    """What `ls` lists, and how."""

    everything: bool = False
    only_pairs: bool = False
    quiet: bool = False
    as_json: bool = False


def ls(*, models_file: Path | None, options: ListOptions) -> None:
    """List the models and the pairs."""
    store, consoles = Store.default(), open_consoles(models_file=models_file)
    registry = load_registry(models_file, accept=acceptance(consoles.err))
    models = [] if options.only_pairs else inventory.list_models(registry, store, everything=True)
    shown = [row for row in models if options.everything or (row.here and not row.problem)]
    all_pairs = inventory.list_pairs(registry, store)
    every_pair = options.everything or options.only_pairs
    pairs = [row for row in all_pairs if every_pair or row.here or row.own]
    left = removal.unfinished(store)
    if options.as_json:
        found = {} if options.only_pairs else {"models": [inventory.to_json(row) for row in shown]}
        listed = {"pairs": [row.to_json() for row in pairs]}
        _print_json({"store": str(store.models), "unfinished": left, **found, **listed})
    elif options.quiet:
        for name in [row.name for row in pairs] if options.only_pairs else [row.reference for row in shown]:
            print_data(name)
    else:
        _print_listing(consoles, shown, pairs)
        _print_left_out(consoles.err, models, len(all_pairs) - len(pairs), shown, left)


def _print_listing(consoles: Consoles, models: Sequence[ModelRow], pairs: Sequence[PairRow]) -> None:
    if models:
        consoles.out.print(ListingView(models))
    if models and pairs:
        consoles.out.print()
    if pairs:
        consoles.out.print(PairsView(pairs))


def _print_left_out(
    err: Console, models: Sequence[ModelRow], n_pairs: int, shown: Sequence[ModelRow], unfinished: int
) -> None:
    """Hints about what `ls` does not show."""
    if models and not any(row.here for row in shown):
        err.print("no models yet; blendin pull demo downloads a pair to try", style="hint")
    n_unusable = sum(bool(row.problem) for row in models) - sum(bool(row.problem) for row in shown)
    if n_unusable:
        files = "1 file" if n_unusable == 1 else f"{n_unusable} files"
        err.print(f"{files} of other programs cannot be used; blendin ls --all says why", style="hint")
    if n_pairs:
        err.print(f"{n_pairs} more pairs can be downloaded; blendin ls --pairs lists them", style="hint")
    if unfinished:
        hint = f"{megabytes(unfinished)} of unfinished downloads; blendin rm --unfinished removes them"
        err.print(hint, style="hint")


def show(name: str, *, models_file: Path | None, options: ShowOptions) -> None:
    """Tell what a model or a pair is."""
    consoles = open_consoles(models_file=models_file)
    registry, store = load_registry(models_file, accept=acceptance(consoles.err)), Store.default()
    pair = registry.pairs.get(name)
    if pair is not None and name not in registry.models:
        _show_pair(pair, registry, store, options, consoles.out)
        return
    if name not in registry.models and name in registry.templates:
        raise ModelNotFoundError(f"{name} is a template, not a model", "its text is in models.toml")
    facts = inventory.describe(name, registry, store, options.ctx_size)
    if options.template:
        _print_template(facts)
    elif options.as_json:
        _print_json(inventory.to_json(facts))
    else:
        consoles.out.print(facts_view(facts, origin=options.origin))


def _show_pair(pair: PairEntry, registry: Registry, store: Store, options: ShowOptions, out: Console) -> None:
    models = [inventory.describe(name, registry, store, options.ctx_size) for name in pair.references]
    if options.template:
        _print_template(models[1])
        return
    origins = registry.origins_of("pairs", pair.name)
    if options.as_json:
        settings = pair.to_json()
        settings |= {role: inventory.to_json(facts) for role, facts in zip(pair.models, models, strict=True)}
        _print_json({**settings, "origins": {key: str(path) for key, path in origins.items()}})
        return
    out.print(pair_view(pair, origins if options.origin else {}))
    for facts in models:
        out.print()
        out.print(facts_view(facts, origin=options.origin))


def _print_template(facts: inventory.ModelFacts) -> None:
    if facts.header is None:
        raise ModelNotFoundError(f"{facts.reference} is not on this machine", facts.command)
    if facts.header.chat_template is None:
        raise ModelNotFoundError(f"{facts.reference} has no chat template", "a base usually has none")
    print_data(facts.header.chat_template)


def rm(
    references: Sequence[str], *, models_file: Path | None, unfinished: bool, yes: bool, as_json: bool
) -> None:
    """Remove fetched models after a yes."""
    if not references and not unfinished:
        raise UsageError("no model to remove was named", "blendin ls lists the models on this machine")
    store, consoles = Store.default(), open_consoles(models_file=models_file)
    registry = load_registry(models_file, accept=acceptance(consoles.err))
    plan = removal.plan_removal(list(inventory.expand(references, registry)), registry, store)
    left = removal.unfinished(store) if unfinished else 0
    if unfinished and not left:
        consoles.err.print("there are no unfinished downloads", style="footer")
    if not yes and (plan.files or left):
        consoles.err.print(removal_view(plan, left))
        _require_yes(f"remove {megabytes(plan.size + left)}?", consoles.err, "--yes")
    removal.remove(plan, store)
    if unfinished:
        removal.remove_unfinished(store)
    if as_json:
        files = [str(path) for path in plan.files]
        _print_json({"removed": files, "freed": plan.size + left, "pairs": list(plan.pairs)})
    elif plan.files or left:
        consoles.err.print(f"{megabytes(plan.size + left)} freed", style="footer")


def doctor(*, models_file: Path | None, pair: str, offline: bool, as_json: bool) -> None:
    """Report on the machine and the installation; exit code 4 where llama.cpp cannot be used at all."""
    consoles = open_consoles(models_file=models_file)
    registry, store = load_registry(models_file, accept=acceptance(consoles.err)), Store.default()
    if pair and pair not in registry.pairs:
        raise unknown_pair(pair, registry)
    keeps = keeps_history(models_file=models_file)
    found = examine(registry, store, pair=pair, offline=is_offline(offline), keeps_history=keeps)
    if as_json:
        _print_json(found.to_json())
    else:
        consoles.out.print(diagnosis_view(found))
    if found.build is None:
        raise typer.Exit(LoadError.exit_code)


def _require_trust(found: Sequence[Resolved], store: Store, yes: bool, err: Console) -> None:
    """Ask before downloading what only a models.toml of the working directory names."""
    asked = [item for item in found if not item.trusted and item.fetchable]
    asked = [item for item in asked if item.path is None or store.owns(item.path)]
    if not asked or yes:
        return
    for item in asked:
        err.print(fetch_text(item), style="warning", markup=False, highlight=False)
        print_note(err, license_text(item))
    _require_yes("fetch it?", err, "--yes")


def _require_yes(question: str, err: Console, flag: str) -> None:
    if not can_ask(err):
        raise UsageError(f"cannot ask without a terminal: {question}", f"add {flag} to agree")
    if not ask(question, err):
        raise UsageError("nothing was done", "")


def _print_json(value: dict[str, Any]) -> None:
    print_json(value, indent=2)
