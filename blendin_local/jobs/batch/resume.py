"""What becomes of the files of an earlier run: resumed, refused or removed.

Here: `manifest_to_resume`, `drop_failed_rows`, `remove_results`.
Not here: the run (`batch`), what a manifest says (`manifest`), answers that have none (`adoption`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.adoption import Adoption, look
from blendin_local.jobs.batch.formats import BAD_ROW
from blendin_local.jobs.batch.jsonl_file import AppendOnlyFile, cannot_write, encode, read_back, replace_file
from blendin_local.jobs.batch.manifest import DamagedManifestError, Identity, read_manifest, require_same
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.scan import Scan

ADOPTED = "adopted"  # the state of what is taken over, until its manifest is written


def found_manifest(
    scan: Scan, places: BatchPaths, identity: Identity, adopt: Callable[[Adoption], None] | None
) -> Mapping[str, Any]:
    """The manifest of earlier runs, empty where there was none.

    Args:
        scan: What the input holds.
        places: The files.
        identity: What must be as it was.
        adopt: As for `Batch.open`.

    Raises:
        UsageError: It does not fit this run, or there are answers without one.
    """
    try:
        found = read_manifest(places.manifest)
    except DamagedManifestError:
        if adopt is None:
            raise
        found = None
    if found is not None:
        require_same(found, identity, places.answers)
        return found
    if adopt is None:
        require_new(places)
    elif (there := look(scan, places, identity)).rows:
        adopt(there)
        return {"state": ADOPTED}
    return {}


def forget_failures(places: BatchPaths) -> None:
    """Take the rows that are asked again out of the file of errors.

    Args:
        places: The files; the answers are held.

    Raises:
        UsageError: It holds something else.
        WriteError: The disk refuses.
    """
    kept: list[bytes] = []

    def take(line: Mapping[str, Any]) -> None:
        if line["error"]["code"] == BAD_ROW:
            kept.append(encode(line))

    with AppendOnlyFile.locked(places.errors, make=False) as locked:
        read_back(places.errors, take)
        there = locked.is_open
    if there:  # closed again: Windows replaces no open file
        replace_file(places.errors, kept, one_writer=True)


def remove_results(places: BatchPaths) -> None:
    """Drop the files of an earlier run, the manifest last.

    Raises:
        UsageError: They are not those of a batch.
        WriteError: They cannot be removed.
    """
    if read_manifest(places.manifest) is None:
        require_new(places)
    with (
        AppendOnlyFile.locked(places.answers) as answers,
        AppendOnlyFile.locked(places.errors, make=False) as errors,
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
