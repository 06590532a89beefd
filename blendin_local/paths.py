"""Files that a user names: read whole and within bounds, or refused in one line.

Here: `read_bytes`, which takes pipes and devices too and hangs on none; `decode`; `require_file`; the two
places that a path can be relative to, `expand_user` and `working_directory`, which may both be missing.
Not here: what the files hold, model files (`engine.gguf.header`).
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable
from pathlib import Path

from blendin_local.errors import UsageError

LARGEST = 64 * 2**20  # bytes of a text that a person writes, and of anything whose size is not known before
PIPE_PATIENCE_S = 5.0
CHUNK = 2**16


def read_bytes(path: Path, largest: int = LARGEST) -> bytes:
    """A file's bytes, or what is written into a pipe.

    Args:
        path: A file, a pipe (such as the shell's `<(...)`) or a device.
        largest: The largest regular file; a pipe or a device may give `LARGEST` at most.

    Raises:
        UsageError: It is a directory, holds too much, or is a pipe that nobody writes to.
        OSError: The system refuses.
    """
    status = _status(path)
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{path} is a directory, not a file", "name a file")
    if stat.S_ISREG(status.st_mode):
        if status.st_size > largest:
            raise _too_much(path, largest)
        return path.read_bytes()
    if stat.S_ISFIFO(status.st_mode):
        return _read_pipe(path)
    with path.open("rb", buffering=0) as device:
        return _collected(path, lambda: device.read(CHUNK) or b"")


def decode(data: bytes, origin: str) -> str:
    """Bytes as text.

    Raises:
        UsageError: They are not UTF-8; the message says where.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{origin} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}", "convert it to UTF-8"
        ) from None


def require_file(path: Path) -> None:
    """Raise `UsageError` for what is no regular file; of what is not there the reader will speak."""
    try:
        mode = _status(path).st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device"
        raise UsageError(f"{path} is {kind}, not a file", "name a file")


def expand_user(path: str | Path) -> Path:
    """Return a path with `~` replaced; one whose user does not exist stays as it is."""
    return Path(os.path.expanduser(path))


def is_file(path: Path) -> bool:
    """Whether a file is there for us: one in a directory that may not be entered is not."""
    try:
        return path.is_file()
    except OSError:
        return False


def working_directory() -> Path | None:
    """The working directory; None where it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except ValueError as error:  # a zero byte
        raise UsageError(f"{str(path)!r} cannot be the name of a file", "check the path") from error


def _too_much(path: Path, largest: int) -> UsageError:
    return UsageError(f"{path} holds more than {largest // 2**20:,} MiB", "name a smaller file")


def _collected(path: Path, read: Callable[[], bytes]) -> bytes:
    """Everything that `read` gives until it gives nothing."""
    data = bytearray()
    while chunk := read():
        data += chunk
        if len(data) > LARGEST:
            raise _too_much(path, LARGEST)
    return bytes(data)


def _read_pipe(path: Path) -> bytes:
    """What is written into a pipe; opened so that one without a writer is no trap."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        first = _first_bytes(handle, time.monotonic() + PIPE_PATIENCE_S)
        if not first:
            raise UsageError(f"{path} is a pipe that nobody writes to", "name a file")
        os.set_blocking(handle, True)
        return first + _collected(path, lambda: os.read(handle, CHUNK))
    finally:
        os.close(handle)


def _first_bytes(handle: int, until: float) -> bytes:
    """The first bytes; none where no writer came in time. A writer who is there is waited for."""
    while True:
        try:
            if found := os.read(handle, CHUNK):
                return found
        except BlockingIOError:  # somebody has it open for writing
            select.select([handle], [], [])
            continue
        if time.monotonic() > until:
            return b""
        time.sleep(0.02)
