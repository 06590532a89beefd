"""One entry fetched into a store, and what is left of unfinished transfers."""

from blendin_local.models.fetch import fetch
from blendin_local.models.references import Resolved


def wanted(entry):
    return Resolved(entry.name, None, entry, entry.sources[0], f"blendin pull {entry.name}")


def get(entry, store, seen=None, notes=None):
    report = (lambda done, total: seen.append((done, total))) if seen is not None else (lambda *_: None)
    tell = notes.append if notes is not None else (lambda _: None)
    return fetch(wanted(entry), store, progress=report, note=tell)


def leftovers(store):
    return [path for path in (store.root / "unfinished").rglob("*") if path.is_file()]
