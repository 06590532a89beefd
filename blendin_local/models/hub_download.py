"""Resumable downloads from the Hugging Face Hub.

Here: `download_from_hub`: range requests into a part file named by the etag, checks, and the final rename.
Not here: the Hub's responses (`models.hub`), locks (`models.fetch`).
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blendin_local.engine.gguf.header import beginning
from blendin_local.errors import FetchError
from blendin_local.models import install
from blendin_local.models.entries import HubSource, ModelEntry
from blendin_local.models.hub import Hub, HubFile, not_the_hub, unreachable
from blendin_local.models.store import Progress, Store, make_directory

ATTEMPTS = 5
RETRY_DELAY_S = 1.0
HTTP_PARTIAL_CONTENT = 206
HTTP_OK = 200
HTML_PREFIX_BYTES = b"\xff\xfe\xef\xbb\xbf\0\t\r\n "  # byte order marks and white space before a web page


def download_from_hub(
    source: HubSource, names: Sequence[str], entry: ModelEntry, *, store: Store, hub: Hub, progress: Progress
) -> Path:
    """Download a file, or all parts of a split one, into the cache; the caller holds the lock.

    Args:
        source: The repository.
        names: The file, or its parts in order.
        entry: The model, for its size and checksum.
        store: The cache.
        hub: The client.
        progress: Called with the bytes downloaded and the total; neither ever decreases.

    Returns:
        The file, or its first part.

    Raises:
        FetchError: The Hub refuses, the disk is full, or the file has another size or checksum.
    """
    files = [hub.describe(source, name) for name in names]
    _require_expected(files, entry)
    targets = [hub_file_path(store, source, file.name) for file in files]
    part_dir = store.partial_dir(targets[0])
    make_directory(part_dir)
    _remove_stale(part_dir, files)
    parts = [store.inside(part_dir / _part_name(file, number)) for number, file in enumerate(files)]
    total = sum(file.size for file in files)
    store.require_disk(total - sum(_size(part) for part in parts))
    done = 0
    for file, part in zip(files, parts, strict=True):
        _Transfer(hub, source, file, part).run(_offset_progress(progress, done, total))
        done += file.size
        progress(done, total)
    whole = len(files) == 1
    digests = [
        install.verify(part, file.name, size=file.size, sha256=(entry.sha256 if whole else "") or file.sha256)
        for file, part in zip(files, parts, strict=True)
    ]
    for part, target, digest in reversed(list(zip(parts, targets, digests, strict=True))):
        install.install(part, target, digest, store)  # the first part last: if it exists, all do
    shutil.rmtree(part_dir, ignore_errors=True)
    return targets[0]


def hub_file_path(store: Store, source: HubSource, name: str) -> Path:
    """Return the path of a repository's file in the cache."""
    return store.path_of(HubSource(source.repo, name, revision=source.revision))


class _Transfer:
    """The download of one file; after a broken connection it resumes from the bytes already on disk."""

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
                time.sleep(RETRY_DELAY_S)
            except OSError as error:
                raise _disk_error(self._part, error) from error

    def _receive(self, progress: Progress) -> None:
        """Request the missing bytes and append them; start over if the server sends the whole file."""
        start = _size(self._part)
        if start > self._file.size:
            self._part.unlink()
            start = 0
        with self._hub.stream(self._source, self._file, start) as response:
            start = self._offset(response, start)
            with self._part.open("ab" if start else "wb") as output:
                for chunk in response.iter_raw():  # without decompression, which could expand
                    start += len(chunk)
                    if start > self._file.size or not self._starts_as_gguf(chunk, start):
                        break
                    output.write(chunk)
                    output.flush()
                    progress(start, self._file.size)
        if start > self._file.size:
            self._part.unlink()
            raise install.too_large(self._file.name, self._file.size, "the Hub announced fewer")
        if start != self._file.size:
            raise ConnectionError(f"received {start} bytes of {self._file.size}")

    def _offset(self, response: Any, start: int) -> int:  # noqa: ANN401 - the library has no types
        """The offset in the file at which the response starts."""
        if response.status_code == HTTP_PARTIAL_CONTENT and _starts_at(response, start):
            return start
        if response.status_code != HTTP_OK:
            raise FetchError(
                f"{self._source.repo}: the Hub returned HTTP {response.status_code} instead of the file",
                "try again later",
            )
        return 0

    def _starts_as_gguf(self, chunk: bytes, end: int) -> bool:
        """Check the magic bytes of the first chunk, so that another kind of file is not downloaded whole."""
        if end == len(chunk) and not chunk.startswith(install.MAGIC[: len(chunk)]):
            self._part.unlink()
            if chunk.lstrip(HTML_PREFIX_BYTES).startswith(b"<"):
                raise not_the_hub(self._source)
            raise FetchError(
                f"{self._file.name} was not downloaded: not a GGUF file "
                f"(it begins with {beginning(chunk[:16])})",
                "try again; no part of it was kept",
            )
        return True


def _starts_at(response: object, start: int) -> bool:
    header = getattr(response, "headers", {}).get("Content-Range", "")
    return str(header).startswith(f"bytes {start}-")


def _offset_progress(progress: Progress, done: int, total: int) -> Progress:
    """Progress of one file as progress of all; it never decreases, even if the file starts over."""
    highest = 0

    def report(part_done: int, _: int) -> None:
        nonlocal highest
        highest = max(highest, part_done)
        progress(done + highest, total)

    return report


def _part_name(file: HubFile, number: int) -> str:
    return f"{file.tag}.{number}.part"


def _remove_stale(part_dir: Path, files: Sequence[HubFile]) -> None:
    """Remove parts of files that have changed on the Hub since."""
    current = {_part_name(file, number) for number, file in enumerate(files)}
    for path in part_dir.iterdir():
        if path.is_file() and path.name not in current:
            path.unlink()


def _require_expected(files: Sequence[HubFile], entry: ModelEntry) -> None:
    """Refuse a file whose size or checksum on the Hub differs from models.toml, before downloading it."""
    if len(files) != 1:
        return
    [file] = files
    if entry.size and file.size != entry.size:
        fault = f"the Hub announces {file.size:,} bytes, but models.toml has {entry.size:,}"
    elif entry.sha256 and file.sha256 and file.sha256 != entry.sha256:
        fault = f"the Hub announces the sha256 {file.sha256}, but models.toml has {entry.sha256}"
    else:
        return
    raise FetchError(
        f"{file.name} was not downloaded: {fault}", "check whether the file has changed on the Hub"
    )


def _disk_error(part: Path, error: OSError) -> FetchError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return FetchError(
            f"the disk with {part.parent} is full",
            "free some space (blendin rm --unfinished removes partial downloads), or set BLENDIN_CACHE",
        )
    return FetchError(f"{part} cannot be written: {error.strerror or error}", "check the directory")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
