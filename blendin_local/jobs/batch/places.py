"""The files of a batch, and who may write them.

Here: `Places`, `held`, `remove_results`.
Not here: what is in the files (`results`, `manifest`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.manifest import read_manifest
from blendin_local.jobs.batch.results import cannot_write


@dataclass(frozen=True, slots=True)
class Places:
    """The files of a batch."""

    source: Path
    answers: Path
    errors: Path
    manifest: Path
    lock: Path

    @classmethod
    def of(cls, source: Path, out: Path) -> Places:
        """The files that go with an output.

        Raises:
            UsageError: The output is the input, or cannot be a file.
        """
        stem = out.name.removesuffix(".jsonl")
        names = [out.name, f"{stem}.errors.jsonl", f"{stem}.manifest.json", f"{stem}.lock"]
        places = cls(source, *(out.with_name(name) for name in names))
        for path in (places.answers, places.errors, places.manifest, places.lock):
            if path.exists() and source.exists() and os.path.samefile(path, source):
                raise UsageError(f"{path} is the input itself", "choose another -o")
            if path.exists() and not path.is_file():
                raise UsageError(f"{path} is not a regular file", "choose another -o")
        if not out.parent.is_dir():
            raise UsageError(f"there is no directory {out.parent}", "make it, or choose another -o")
        return places


def remove_results(places: Places) -> None:
    """Drop the files of an earlier run, the manifest last.

    Raises:
        UsageError: They are not those of a batch.
        WriteError: They cannot be removed.
    """
    if read_manifest(places.manifest) is None:
        require_new(places)
    with held(places):
        for path in (places.answers, places.errors, places.manifest):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(path, error) from error


def require_new(places: Places) -> None:
    """Raise `UsageError` where answers lie that nobody knows the settings of."""
    for path in (places.answers, places.errors):
        if path.exists() and path.stat().st_size:
            raise UsageError(
                f"{path} is there, but no {places.manifest.name} that says whose answers it holds",
                "choose another -o, or move the file away",
            )


def foreign(path: Path, key: object) -> UsageError:
    """What to say of a row that cannot be ours."""
    return UsageError(
        f"{path} holds a row {key!r}, which is not in the input", "take it out, or choose another -o"
    )


@contextmanager
def held(places: Places) -> Iterator[None]:
    """One run at a time; the lock dies with its process, however that ends."""
    lock = filelock.FileLock(places.lock)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UsageError(
            f"another blendin batch is writing {places.answers}", "wait for it, or choose another -o"
        ) from None
    except OSError as error:
        raise cannot_write(places.lock, error) from error
    try:
        yield
    finally:
        places.lock.unlink(missing_ok=True)
        lock.release()
