"""The files of a batch, and who may write them.

Here: `Places`, `remove_results`, `require_new`.
Not here: what is in the files (`results`, `manifest`), writing them (`growing`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.growing import GrowingFile
from blendin_local.jobs.batch.manifest import read_manifest
from blendin_local.jobs.batch.results import cannot_write


@dataclass(frozen=True, slots=True)
class Places:
    """The files of a batch."""

    source: Path
    answers: Path
    errors: Path
    manifest: Path

    @classmethod
    def of(cls, source: Path, out: Path) -> Places:
        """The files that go with an output.

        Raises:
            UsageError: The output is the input, or cannot be a file.
        """
        stem = out.name.removesuffix(".jsonl")
        names = [out.name, f"{stem}.errors.jsonl", f"{stem}.manifest.json"]
        places = cls(source, *(out.with_name(name) for name in names))
        for path in (places.answers, places.errors, places.manifest):
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
    with GrowingFile.held(places.answers) as answers, GrowingFile.held(places.errors, make=False) as errors:
        for path, drop in (
            (places.answers, answers.drop),
            (places.errors, errors.drop),
            (places.manifest, partial(places.manifest.unlink, missing_ok=True)),
        ):
            try:
                drop()
            except OSError as error:
                raise cannot_write(path, error) from error


def require_new(places: Places) -> None:
    """Raise `UsageError` where answers lie that nobody knows the settings of."""
    for path in (places.answers, places.errors):
        if path.exists() and path.stat().st_size:
            raise UsageError(
                f"{path} is there, but no {places.manifest.name} that says whose answers it holds",
                "choose another -o, move the file away, or make the manifest anew with --adopt "
                "(which shows first what it would take over)",
            )
