"""Files that a user names: read completely and within bounds, or refused with a one-line error.

Here: `read_bytes`, which also takes pipes and devices and never blocks without end; `read_text`, for small
regular files such as models.toml and templates; `decompressed`, for gzip; `decode_utf8`; `require_file`;
`expand_user`, `resolve_path` and `working_directory`, since a home and a working directory may be missing.
Not here: the content of the files, model files (`engine.gguf.header`).
"""

from __future__ import annotations

import gzip
import io
import os
import select
import stat
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from blendin_local.errors import UsageError

MAX_BYTES = 64 * 2**20  # of a file that a person writes, and of any pipe or device
MAX_TEXT_BYTES = 2**18  # of a models.toml or a template
PIPE_TIMEOUT_S = 5.0
CHUNK = 2**16
GZIP = b"\x1f\x8b"  # what such a file begins with
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_bytes(path: Path, max_bytes: int = MAX_BYTES, *, regular_only: bool = False) -> bytes:
    """Read a file, or everything that is written into a pipe.

    Args:
        path: A file, a pipe (such as the shell's `<(...)`) or a device.
        max_bytes: The largest regular file; a pipe or a device may give `MAX_BYTES` at most.
        regular_only: Whether pipes and devices are refused.

    Returns:
        The content.

    Raises:
        UsageError: It is a directory, is too large, is a pipe that nobody writes to, or is refused.
        OSError: It cannot be opened or read.
    """
    if stat.S_ISDIR(_status(path).st_mode):
        raise UsageError(f"{path} is a directory, not a file", "name a file")
    fd = os.open(path, _FLAGS)  # without blocking: a pipe may have no writer
    try:
        status = os.fstat(fd)  # of what was opened: the path may have changed since
        if stat.S_ISREG(status.st_mode):
            if status.st_size > max_bytes:
                raise _too_large(path, max_bytes)
            return _read_all(path, lambda: os.read(fd, CHUNK), max_bytes)
        if regular_only:
            raise UsageError(f"{path} is {_kind(status.st_mode)}, not a regular file", "name a text file")
        first = _first_bytes(path, fd) if stat.S_ISFIFO(status.st_mode) else b""
        os.set_blocking(fd, True)
        return first + _read_all(path, lambda: os.read(fd, CHUNK), MAX_BYTES)
    finally:
        os.close(fd)


def read_text(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Read a small regular file as UTF-8.

    Args:
        path: The file.
        max_bytes: Its largest size.

    Returns:
        The text.

    Raises:
        UsageError: It cannot be read, is not a regular file, is too large, or is not UTF-8.
    """
    try:
        return decode_utf8(read_bytes(path, max_bytes, regular_only=True), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", "check the file") from error


def decompressed(data: bytes, path: Path, max_bytes: int) -> bytes:
    """The content of a file that may be packed with gzip, which its first bytes tell.

    Args:
        data: The file.
        path: Its name, for the message.
        max_bytes: The most it may hold unpacked.

    Raises:
        UsageError: It is incomplete or damaged, or holds more.
    """
    if not data.startswith(GZIP):
        return data
    try:
        with gzip.open(io.BytesIO(data)) as file:
            unpacked = file.read(max_bytes + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise UsageError(f"{path} cannot be unpacked: {error}", "copy the file anew") from None
    if len(unpacked) > max_bytes:
        raise _too_large(path, max_bytes)
    return unpacked


def decode_utf8(data: bytes, origin: str) -> str:
    """Decode bytes as UTF-8, without a byte order mark.

    Args:
        data: The bytes.
        origin: Where they come from, for the message.

    Raises:
        UsageError: They are not UTF-8; the message has the position.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{origin} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}", "convert it to UTF-8"
        ) from None


def require_file(path: Path) -> None:
    """Raise `UsageError` unless the path is a regular file or does not exist."""
    try:
        mode = _status(path).st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is {_kind(mode)}, not a file", "name a file")


def expand_user(path: str | Path) -> Path:
    """Return a path with `~` replaced; one whose user does not exist stays as it is."""
    return Path(os.path.expanduser(path))


def resolve_path(path: Path, origin: object, directory: Path | None = None) -> Path:
    """Return an absolute path, with `~` and symbolic links resolved.

    Args:
        path: The path.
        origin: The option or file that names it, for the message.
        directory: What a relative path is relative to (default: the working directory).

    Raises:
        UsageError: There is no such user, there is no working directory, or it is not a valid path.
    """
    try:
        return (directory or Path()).joinpath(path.expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{origin} names {str(path)!r}: {error}", "check the path") from error


def is_file(path: Path) -> bool:
    """Whether a file exists and can be seen; False if its directory may not be entered."""
    try:
        return path.is_file()
    except OSError:
        return False


def working_directory() -> Path | None:
    """Return the working directory, or None if it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except ValueError as error:  # a zero byte
        raise UsageError(f"{str(path)!r} cannot be the name of a file", "check the path") from error


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device"


def _too_large(path: Path, max_bytes: int) -> UsageError:
    size = f"{max_bytes // 2**20:,} MiB" if max_bytes >= 2**20 else f"{max_bytes:,} bytes"
    return UsageError(f"{path} holds more than {size}", "name a smaller file")


def _read_all(path: Path, read: Callable[[], bytes], max_bytes: int) -> bytes:
    data = bytearray()
    while chunk := read():
        data += chunk
        if len(data) > max_bytes:
            raise _too_large(path, max_bytes)
    return bytes(data)


def _first_bytes(path: Path, fd: int) -> bytes:
    """Wait for the first bytes of a pipe: for a writer until the timeout, for its bytes without limit."""
    deadline = time.monotonic() + PIPE_TIMEOUT_S
    while True:
        try:
            if found := os.read(fd, CHUNK):
                return found
        except BlockingIOError:  # another process has it open for writing
            select.select([fd], [], [])
            continue
        if time.monotonic() > deadline:
            raise UsageError(f"{path} is a pipe that nobody writes to", "name a file")
        time.sleep(0.02)
