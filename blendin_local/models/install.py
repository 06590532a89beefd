"""What came from outside, before it gets the name of a model file.

Here: how much may come, `check`, which looks at what came, and `install`, which puts it into its place.
Not here: how it comes (`models.package_download`, `models.hub_download`), where it lies (`models.store`).
The file that is replaced stays until the new one is whole and checked.
"""

from __future__ import annotations

from pathlib import Path

from blendin_local.errors import FetchError
from blendin_local.models.store import Store, hash_file, make_directory

MAGIC = b"GGUF"
SLACK = 2**20  # bytes that may come beyond an announced size before a transfer is stopped
LARGEST_UNANNOUNCED = 2**32  # bytes that may come where neither models.toml nor the sender says how many


def most(announced: int) -> int:
    """The bytes that may come where so many were announced; 0 for none announced."""
    return announced + SLACK if announced else LARGEST_UNANNOUNCED


def too_large(what: str, limit: int, hint: str) -> FetchError:
    """The error for a transfer that was stopped."""
    return FetchError(
        f"{what}: more than the {limit:,} bytes that were expected came, so the transfer was stopped",
        f"nothing of it was kept; {hint}",
    )


def check(part: Path, name: str, *, size: int = 0, sha256: str = "", digest: str = "") -> str:
    """The sha256 of a file that is what was promised, and a GGUF; otherwise it is removed.

    Args:
        part: The file.
        name: What it is called in messages.
        size: The bytes it must have; 0 where not known.
        sha256: The checksum it must have; empty where not known.
        digest: Its sha256, where it is known already.

    Raises:
        FetchError: It is something else.
    """
    found = part.stat().st_size
    with part.open("rb") as opened:
        head = opened.read(len(MAGIC))
    if head != MAGIC:
        fault = f"it is not a GGUF file (it begins with {head!r})"
    elif size and found != size:
        fault = f"{found:,} bytes came, but {size:,} were expected"
    elif sha256 and (digest := digest or hash_file(part)) != sha256:
        fault = f"its sha256 is {digest}, but {sha256} was expected"
    else:
        return digest or hash_file(part)
    part.unlink()
    raise FetchError(f"{name} was fetched but not installed: {fault}", "try again; nothing of it was kept")


def install(part: Path, target: Path, digest: str, store: Store) -> None:
    """Give a checked file its name, in place of the one that had it.

    Raises:
        FetchError: That is not allowed.
    """
    make_directory(store.inside(target).parent)
    try:
        part.replace(target)
    except OSError as error:
        raise FetchError(
            f"{target} cannot be replaced: {error.strerror or error}", "is it in use, or a directory?"
        ) from error
    store.remember(target, digest)
