"""What becomes of the files of an earlier run: resumed, refused or removed.

Here: `manifest_to_resume`, `drop_failed_rows`, `remove_results`.
Not here: the run (`batch`), the content of a manifest (`manifest`), answers without one (`adoption`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.adoption import AdoptableAnswers, find_adoptable
from blendin_local.jobs.batch.formats import BAD_ROW
from blendin_local.jobs.batch.jsonl_file import AppendOnlyFile, cannot_write, encode, read_back, replace_file
from blendin_local.jobs.batch.manifest import DamagedManifestError, Identity, read_manifest, require_same
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.scan import Scan

ADOPTED = "adopted"  # the state of adopted answers until their manifest is written


def manifest_to_resume(
    scan: Scan, paths: BatchPaths, identity: Identity, adopt: Callable[[AdoptableAnswers], None] | None
) -> Mapping[str, Any]:
    """The manifest of earlier runs; empty if there is none.

    Args:
        scan: What the input holds.
        paths: The files.
        identity: What must be equal in all runs.
        adopt: As for `Batch.open`.

    Raises:
        UsageError: It belongs to another batch, or there are answers without one.
    """
    try:
        found = read_manifest(paths.manifest)
    except DamagedManifestError:
        if adopt is None:
            raise
        found = None
    if found is not None:
        require_same(found, identity, paths.answers)
        return found
    if adopt is None:
        refuse_unknown_answers(paths)
    elif (answers := find_adoptable(scan, paths, identity)).rows:
        adopt(answers)
        return {"state": ADOPTED}
    return {}


def drop_failed_rows(paths: BatchPaths) -> None:
    """Remove the rows that will be answered again from the file of errors.

    Args:
        paths: The files; the answers are locked.

    Raises:
        UsageError: The file was not written by a batch.
        WriteError: It cannot be written.
    """
    kept: list[bytes] = []

    def on_line(line: Mapping[str, Any]) -> None:
        if line["error"]["code"] == BAD_ROW:
            kept.append(encode(line))

    with AppendOnlyFile.locked(paths.errors, create=False) as locked:
        read_back(paths.errors, on_line)
        exists = locked.is_open
    if exists:  # and closed again: Windows cannot replace an open file
        replace_file(paths.errors, kept, one_writer=True)


def remove_results(paths: BatchPaths) -> None:
    """Delete the files of an earlier run, the manifest last.

    Raises:
        UsageError: They do not belong to a batch.
        WriteError: They cannot be deleted.
    """
    if read_manifest(paths.manifest) is None:
        refuse_unknown_answers(paths)
    with (
        AppendOnlyFile.locked(paths.answers) as answers,
        AppendOnlyFile.locked(paths.errors, create=False) as errors,
    ):
        for path, remove in (
            (paths.answers, answers.remove),
            (paths.errors, errors.remove),
            (paths.manifest, partial(paths.manifest.unlink, missing_ok=True)),
        ):
            try:
                remove()
            except OSError as error:
                raise cannot_write(path, error) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "choose another -o") from error


def refuse_unknown_answers(paths: BatchPaths) -> None:
    """Raise `UsageError` if there are answers without a manifest of how they were made."""
    for path in (paths.answers, paths.errors):
        if _size(path):
            raise UsageError(
                f"{path} exists, but not {paths.manifest.name}, which says how its answers were made",
                "choose another -o, move the file away, or adopt its answers with --adopt (which first shows "
                "what is there)",
            )
