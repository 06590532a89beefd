"""The files of a batch, and who may write them.

Here: `BatchPaths`, `remove_results`, `require_new`.
Not here: what is in the files (`results`, `manifest`), writing them (`growing`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.jsonl_file import GrowingFile
from blendin_local.jobs.batch.manifest import read_manifest
from blendin_local.jobs.batch.results import cannot_write


@dataclass(frozen=True, slots=True)
class BatchPaths:
    """The files of a batch."""

    source: Path
    answers: Path
    errors: Path
    manifest: Path

    @classmethod
    def of(cls, source: Path, out: Path) -> BatchPaths:
        """The files that go with an output.

        Raises:
            UsageError: The output is the input, or cannot be a file.
        """
        stem = out.name.removesuffix(".jsonl")
        names = [out.name, f"{stem}.errors.jsonl", f"{stem}.manifest.json"]
        try:
            places = cls(source, *(out.with_name(name) for name in names))
            places._require_usable()
        except (OSError, ValueError) as error:  # ValueError: no name at all, such as /
            why = error.strerror if isinstance(error, OSError) else "it has no name"
            raise UsageError(f"{out} cannot be written: {why}", "choose another -o") from error
        return places

    def _require_usable(self) -> None:
        for path in (self.answers, self.errors, self.manifest):
            if path.exists() and self.source.exists() and os.path.samefile(path, self.source):
                raise UsageError(f"{path} is the input itself", "choose another -o")
            if path.exists() and not path.is_file():
                raise UsageError(f"{path} is not a regular file", "choose another -o")
        if not self.answers.parent.is_dir():
            raise UsageError(f"there is no directory {self.answers.parent}", "make it, or choose another -o")


def remove_results(places: BatchPaths) -> None:
    """Drop the files of an earlier run, the manifest last.

    Raises:
        UsageError: They are not those of a batch.
        WriteError: They cannot be removed.
    """
    if read_manifest(places.manifest) is None:
        require_new(places)
    with (
        GrowingFile.locked(places.answers) as answers,
        GrowingFile.locked(places.errors, make=False) as errors,
    ):
        for path, drop in (
            (places.answers, answers.drop),
            (places.errors, errors.drop),
            (places.manifest, partial(places.manifest.unlink, missing_ok=True)),
        ):
            try:
                drop()
            except OSError as error:
                raise cannot_write(path, error) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "choose another -o") from error


def require_new(places: BatchPaths) -> None:
    """Raise `UsageError` where answers lie that nobody knows the settings of."""
    for path in (places.answers, places.errors):
        if _size(path):
            raise UsageError(
                f"{path} is there, but no {places.manifest.name} that says whose answers it holds",
                "choose another -o, move the file away, or let blendin batch --adopt make it anew "
                "(which shows first what it would take over)",
            )
