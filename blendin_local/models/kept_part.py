"""What is left of a download that was broken off.

Here: `telling_what_is_kept`, around a download.
Not here: the downloads, which go on from there (`models.hub_download`, `models.package_download`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blendin_local.errors import FetchError
from blendin_local.models.store import Progress


@contextmanager
def telling_what_is_kept(part_dir: Path, command: str, progress: Progress) -> Iterator[Progress]:
    """Add to Ctrl-C and to a failed download how much of it is kept, and the command that goes on.

    Args:
        part_dir: The directory of the unfinished download.
        command: The command that downloads the file.
        progress: The listener of the download; the block passes on what is yielded instead.
    """
    total = 0

    def watched(done: int, of: int) -> None:
        nonlocal total
        total = of
        progress(done, of)

    try:
        yield watched
    except KeyboardInterrupt as stop:
        text = _kept_text(part_dir, total, command)
        raise KeyboardInterrupt(text or f"nothing was kept; {command} starts over") from stop
    except FetchError as error:
        if text := _kept_text(part_dir, total, command):
            error.hint = f"{error.hint}; {text}" if error.hint else text
        raise


def _kept_text(part_dir: Path, total: int, command: str) -> str:
    """The sentence; empty if nothing is kept. What pip had not finished lies in a folder and is not kept."""
    files = [path for path in part_dir.glob("*") if path.is_file()] if part_dir.is_dir() else []
    kept = sum(path.stat().st_size for path in files)
    amount = f"{_number(kept)} of {_number(total)} MB" if total else f"{_number(kept)} MB"
    return f"kept {amount}; {command} goes on from there" if kept else ""


def _number(size: int) -> str:
    """A size in millions of bytes, with a decimal where it is small."""
    return f"{size / 1e6:.1f}" if size < 10**7 else f"{size / 1e6:.0f}"
