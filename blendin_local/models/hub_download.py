"""Bringing a file of the hub here, over several runs if need be.

Here: `fetch_hub`: ranged requests into a part file named by its etag, checks, and the rename at the end.
Not here: the hub's answers (`models.hub`), locks (`models.fetch`).
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from blendin_local.errors import FetchError
from blendin_local.models import install
from blendin_local.models.entries import HubSource, ModelEntry
from blendin_local.models.hub import Hub, HubFile, no_hub, unreachable
from blendin_local.models.store import Store, make_directory

Progress = Callable[[int, int], None]
ATTEMPTS = 5
PAUSE_SECONDS = 1.0
PARTIAL = 206
WHOLE = 200
MARKS = b"\xff\xfe\xef\xbb\xbf\0\t\r\n "  # byte order marks and white space before a web page


def fetch_hub(
    source: HubSource, names: Sequence[str], entry: ModelEntry, *, store: Store, hub: Hub, progress: Progress
) -> Path:
    """Fetch a file, or all parts of a split one, and put them into their place; the caller holds the lock.

    Args:
        source: The repository.
        names: The file, or its parts in order.
        entry: The model, for its checksum.
        store: Where to work.
        hub: The hub.
        progress: Told bytes fetched and bytes in all, both never falling.

    Raises:
        FetchError: The hub refuses, the disk is full, or what came is not what was promised.
    """
    files = [hub.describe(source, name) for name in names]
    _require_announced(files, entry)
    targets = [place_of(store, source, file.name) for file in files]
    workshop = store.workshop(targets[0])
    make_directory(workshop)
    _sweep(workshop, files)
    parts = [store.inside(workshop / _part_name(file, number)) for number, file in enumerate(files)]
    total = sum(file.size for file in files)
    store.require_disk(total - sum(_size(part) for part in parts))
    done = 0
    for file, part in zip(files, parts, strict=True):
        _Transfer(hub, source, file, part).run(_shifted(progress, done, total))
        done += file.size
        progress(done, total)
    whole = len(files) == 1
    digests = [
        install.check(part, file.name, size=file.size, sha256=(entry.sha256 if whole else "") or file.sha256)
        for file, part in zip(files, parts, strict=True)
    ]
    for part, target, digest in reversed(list(zip(parts, targets, digests, strict=True))):
        install.install(part, target, digest, store)  # the first part last: where it is, the others are
    shutil.rmtree(workshop, ignore_errors=True)
    return targets[0]


def place_of(store: Store, source: HubSource, name: str) -> Path:
    """Where one file of a repository lies."""
    return store.place(HubSource(source.repo, name, revision=source.revision))


class _Transfer:
    """One file on its way; where a connection breaks it goes on from what is there."""

    def __init__(self, hub: Hub, source: HubSource, file: HubFile, part: Path) -> None:
        self._hub, self._source, self._file, self._part = hub, source, file, part

    def run(self, progress: Progress) -> None:
        failures = 0
        while (before := _size(self._part)) != self._file.size:
            try:
                self._receive(progress)
            except (self._hub.transport_error, ConnectionError, TimeoutError) as error:
                failures = 1 if _size(self._part) > before else failures + 1
                if failures >= ATTEMPTS:
                    raise unreachable(self._source) from error
                time.sleep(PAUSE_SECONDS)
            except OSError as error:
                raise _disk_error(self._part, error) from error

    def _receive(self, progress: Progress) -> None:
        """Ask for what is missing, and append it; a server that sends the whole file again is believed."""
        start = _size(self._part)
        if start > self._file.size:
            self._part.unlink()
            start = 0
        with self._hub.stream(self._source, self._file, start) as response:
            start = self._begin(response, start)
            with self._part.open("ab" if start else "wb") as output:
                for chunk in response.iter_raw():  # as it was sent: nothing can swell here
                    start += len(chunk)
                    if start > self._file.size or not self._begins_well(chunk, start):
                        break
                    output.write(chunk)
                    output.flush()
                    progress(start, self._file.size)
        if start > self._file.size:
            self._part.unlink()
            raise install.too_large(self._file.name, self._file.size, "the hub announced no more")
        if start != self._file.size:
            raise ConnectionError(f"{start} bytes came, {self._file.size} were announced")

    def _begin(self, response: Any, start: int) -> int:  # noqa: ANN401 - the library has no types
        """Where the answer's bytes belong."""
        if response.status_code == PARTIAL and _starts_at(response, start):
            return start
        if response.status_code != WHOLE:
            raise FetchError(
                f"{self._source.repo}: the hub answers HTTP {response.status_code} and sends no file",
                "try again later; what came so far is kept",
            )
        return 0

    def _begins_well(self, chunk: bytes, end: int) -> bool:
        """Whether the first bytes are a GGUF's; what is none is not fetched to its end."""
        if end == len(chunk) and not chunk.startswith(install.MAGIC[: len(chunk)]):
            self._part.unlink()
            if chunk.lstrip(MARKS).startswith(b"<"):
                raise no_hub(self._source)
            raise FetchError(
                f"{self._file.name} was not fetched: it is not a GGUF file (it begins with {chunk[:16]!r})",
                "try again; nothing of it was kept",
            )
        return True


def _starts_at(response: object, start: int) -> bool:
    header = getattr(response, "headers", {}).get("Content-Range", "")
    return str(header).startswith(f"bytes {start}-")


def _shifted(progress: Progress, done: int, total: int) -> Progress:
    most = 0

    def report(part_done: int, _: int) -> None:
        nonlocal most
        most = max(most, part_done)
        progress(done + most, total)

    return report


def _part_name(file: HubFile, number: int) -> str:
    return f"{file.tag}.{number}.part"


def _sweep(workshop: Path, files: Sequence[HubFile]) -> None:
    """Drop parts of files that have changed on the hub since."""
    wanted = {_part_name(file, number) for number, file in enumerate(files)}
    for left in workshop.iterdir():
        if left.is_file() and left.name not in wanted:
            left.unlink()


def _require_announced(files: Sequence[HubFile], entry: ModelEntry) -> None:
    """Refuse a file that the hub announces as another than models.toml does, before a byte of it comes."""
    if len(files) != 1:
        return
    [file] = files
    if entry.size and file.size != entry.size:
        fault = f"the hub announces {file.size:,} bytes, but models.toml {entry.size:,}"
    elif entry.sha256 and file.sha256 and file.sha256 != entry.sha256:
        fault = f"the hub announces the sha256 {file.sha256}, but models.toml {entry.sha256}"
    else:
        return
    raise FetchError(f"{file.name} was not fetched: {fault}", "has the file changed on the hub?")


def _disk_error(part: Path, error: OSError) -> FetchError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return FetchError(
            f"the disk with {part.parent} is full",
            "free some, or set BLENDIN_CACHE to another one; blendin rm --unfinished drops what came so far",
        )
    return FetchError(f"{part} cannot be written: {error.strerror or error}", "check the directory")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
