"""Checking a downloaded file and moving it to its final path.

Here: size limits of downloads, `verify`, which checks a download, and `install`, which renames it.
Not here: downloading (`models.package_download`, `models.hub_download`), paths (`models.store`).
An older file at the final path stays until the new one is complete and verified.
"""

from __future__ import annotations

from pathlib import Path

from blendin_local.engine.gguf.header import beginning
from blendin_local.errors import FetchError
from blendin_local.models.store import Store, hash_file, make_directory

MAGIC = b"GGUF"
SIZE_SLACK = 2**20  # bytes beyond an announced size at which a download is stopped
MAX_UNANNOUNCED = 2**32  # bytes at which a download of unknown size is stopped


def size_limit(announced: int) -> int:
    """Return the bytes at which a download is stopped; `announced` is 0 if its size is unknown."""
    return announced + SIZE_SLACK if announced else MAX_UNANNOUNCED


def too_large(what: str, limit: int, hint: str) -> FetchError:
    """Return the error for a download that was stopped."""
    return FetchError(
        f"{what}: the download was stopped: it sent more than the {limit:,} bytes expected",
        f"no part of it was kept; {hint}",
    )


def verify(part: Path, name: str, *, size: int = 0, sha256: str = "", digest: str = "") -> str:
    """Check that a download is a GGUF file with the expected size and checksum; if not, delete it.

    Args:
        part: The file.
        name: Its name in messages.
        size: The expected bytes; 0 if unknown.
        sha256: The expected checksum; empty if unknown.
        digest: The file's sha256, if it was computed before.

    Returns:
        The file's sha256.

    Raises:
        FetchError: It is another file.
    """
    found = part.stat().st_size
    with part.open("rb") as opened:
        head = opened.read(len(MAGIC))
    if head != MAGIC:
        fault = f"it is not a GGUF file (it begins with {beginning(head)})"
    elif size and found != size:
        fault = f"it has {found:,} bytes instead of {size:,}"
    elif sha256 and (digest := digest or hash_file(part)) != sha256:
        fault = f"its sha256 is {digest} instead of {sha256}"
    else:
        return digest or hash_file(part)
    part.unlink()
    raise FetchError(f"{name} was downloaded but not installed: {fault}", "try again; no part of it was kept")


def install(part: Path, target: Path, digest: str, store: Store) -> None:
    """Move a verified file to its final path, replacing an older file.

    Args:
        part: The verified file.
        target: Its final path.
        digest: Its sha256, which is recorded.
        store: The cache.

    Raises:
        FetchError: The file cannot be replaced.
    """
    make_directory(store.inside(target).parent)
    try:
        part.replace(target)
    except OSError as error:
        raise FetchError(
            f"{target} cannot be replaced: {error.strerror or error}",
            "is it in use, or a directory?",
        ) from error
    store.record_checksum(target, digest)
