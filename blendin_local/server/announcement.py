"""How a running server is found on its own machine: a private file of one process, removed at its end.

Here: `Announcement`, what the file says; `announced`, which writes it for as long as a server runs;
`running`, which reads those of all servers; `file_state`; `proof`.
Not here: whether a server has the pair that a command wants (`cli.common.find_server`), HTTP.

The server holds a lock on its file, which the system takes away when the process ends in whatever way. A file
that nobody locks is therefore stale, and whoever meets it removes it. The key of a server is never written.
Nothing here needs numpy or llama.cpp.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs

from blendin_local.files import PRIVATE_MODE, is_same_file, open_private_fd, try_lock, write_all
from blendin_local.paths import expand_user

MAX_BYTES = 2**20
NONCE_LENGTHS = range(32, 65)
FileState = tuple[str, int, int]
"""A path with the size of the file in bytes and its time of modification in nanoseconds."""


@dataclass(frozen=True)
class Announcement:
    """What a server says of itself.

    Attributes:
        url: Where it listens on this machine.
        secret: Proves that the server that answers is the one that wrote this; in hexadecimal.
        version: Of the program.
        needs_key: Whether requests must bring a key.
        options: The options that say which models are loaded and how, by name.
        default_pair: The pair that is meant where the options name none.
        registry: The models.toml files that applied, nearest first.
        files: Every file that the pair was made of, in the state that it had.
        date: The date that the prompts have, ISO 8601; empty where no prompt depends on it.
    """

    url: str
    secret: str
    version: str
    needs_key: bool
    options: Mapping[str, Any]
    default_pair: str
    registry: tuple[str, ...]
    files: tuple[FileState, ...]
    date: str


def directory(env: Mapping[str, str] | None = None) -> Path:
    """Where the files are: `servers` in the cache directory, which `BLENDIN_CACHE` may name."""
    named = (os.environ if env is None else env).get("BLENDIN_CACHE")
    root = (
        expand_user(named) if named else Path(platformdirs.user_cache_dir("blendin-local", appauthor=False))
    )
    return root / "servers"


@contextmanager
def announced(
    announcement: Announcement, on_failure: Callable[[OSError], None] = lambda _: None
) -> Iterator[None]:
    """Keep the file for the time of the block; a server works without it too.

    Args:
        announcement: What it says.
        on_failure: Called if it cannot be written.
    """
    path = directory() / f"{os.getpid()}.json"
    fd: int | None = None
    try:
        fd = _write(path, json.dumps(asdict(announcement)).encode())
    except OSError as error:
        on_failure(error)
    try:
        yield
    finally:
        if fd is not None:
            with suppress(OSError):
                if is_same_file(fd, path):
                    path.unlink()
            os.close(fd)


def _write(path: Path, data: bytes) -> int:
    """The open and locked file, which others see only when it is whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        temporary.unlink()
    fd = open_private_fd(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0))
    try:
        try_lock(fd)
        write_all(fd, data)
        temporary.replace(path)
    except BaseException:
        os.close(fd)
        with suppress(OSError):
            temporary.unlink()
        raise
    return fd


def running() -> Iterator[Announcement]:
    """What the servers of this user say that run now; stale files are removed on the way."""
    with suppress(OSError):
        for path in sorted(directory().glob("[0-9]*.json")):
            with suppress(OSError, ValueError, TypeError, KeyError):
                found = _read(path)
                if found is not None:
                    yield found


def _read(path: Path) -> Announcement | None:
    """None for a stale file, and for one that somebody else could have written."""
    fd = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or not _is_private(status):
            return None
        if try_lock(fd):  # its server has ended without removing it
            if is_same_file(fd, path):
                path.unlink()
            return None
        values = json.loads(os.read(fd, MAX_BYTES))
    finally:
        os.close(fd)
    files = tuple((str(name), int(size), int(time)) for name, size, time in values["files"])
    return Announcement(**values | {"files": files, "registry": tuple(values["registry"])})


def _is_private(status: os.stat_result) -> bool:
    if os.name == "nt":  # there the access rights of the directory protect it
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & ~PRIVATE_MODE & 0o777


def file_state(path: Path | str) -> FileState | None:
    """The state of a file, None if it cannot be seen."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (str(path), status.st_size, status.st_mtime_ns)


def proof(secret: str, nonce: str) -> str:
    """What only a server with this secret can answer to a number that was never used before."""
    return hmac.new(bytes.fromhex(secret), f"blendin-local {nonce}".encode(), hashlib.sha256).hexdigest()
