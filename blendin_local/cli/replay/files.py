"""The files of `blendin replay`: what is read, and what must not be written over.

Here: `file_to_read`, `refuse_to_overwrite`, `write_page`.
Not here: their content (`jobs.replay.answer_file`, `reports.answer_html`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from blendin_local.cli.common.failures import cannot_write
from blendin_local.cli.common.options import SHOWN_CANDIDATES
from blendin_local.core.shortened import shortened
from blendin_local.errors import UsageError
from blendin_local.files import write_private
from blendin_local.jobs.replay.example import example_path
from blendin_local.jobs.replay.stored_answer import StoredAnswer


def file_to_read(file: Path | None, *, example: bool) -> Path:
    """The file that the user names, or the example.

    Raises:
        UsageError: There is neither, or both.
    """
    if file is not None and example:
        raise UsageError("--example is read instead of a file", f"leave out {file}, or --example")
    if file is not None:
        return file
    if not example:
        raise UsageError("no file to replay", "name one, or give --example for recorded answers")
    return example_path()


def refuse_to_overwrite(file: Path, written: Iterable[Path | None]) -> None:
    """Raise `UsageError` where a file to be written is the one that is read."""
    for path in written:
        if path is not None and path.exists() and path.samefile(file):
            raise UsageError(f"{path} is the file that is read", "write to another file")


def write_page(path: Path, answers: Sequence[StoredAnswer]) -> None:
    """Write the page of stored answers, with as many candidates as other pages have.

    Raises:
        WriteError: It cannot be written.
    """
    from blendin_local.reports.answer_html import render_stored  # noqa: PLC0415 - a page is seldom asked for

    page = render_stored([_with_shown_candidates(stored) for stored in answers])
    try:
        write_private(path, page)
    except OSError as error:
        raise cannot_write(path, error) from error


def _with_shown_candidates(stored: StoredAnswer) -> StoredAnswer:
    steps = tuple(shortened(step, SHOWN_CANDIDATES) for step in stored.steps)
    return replace(stored, steps=steps, end=stored.end and shortened(stored.end, SHOWN_CANDIDATES))
