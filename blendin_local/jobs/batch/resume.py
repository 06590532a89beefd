"""What must fit before a run goes on with the files of another.

Here: `found_manifest`, `forget_failures`.
Not here: the run (`run`), what a manifest says (`manifest`), taking over answers that have none (`adoption`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from blendin_local.jobs.batch.adoption import Adoption, look
from blendin_local.jobs.batch.formats import BAD_ROW
from blendin_local.jobs.batch.jsonl_file import GrowingFile
from blendin_local.jobs.batch.manifest import DamagedManifestError, Identity, read_manifest, require_same
from blendin_local.jobs.batch.paths import BatchPaths, require_new
from blendin_local.jobs.batch.results import encode, read_back, replace_file
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

    with GrowingFile.locked(places.errors, make=False) as locked:
        read_back(places.errors, take)
        there = locked.is_open
    if there:  # closed again: Windows replaces no open file
        replace_file(places.errors, kept, one_writer=True)
