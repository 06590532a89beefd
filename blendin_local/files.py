"""Writing, replacing and locking files without losing data or exposing it to other users.

Here: `open_private_fd`, `open_private` and `write_private` for files that hold conversations: mode 0600, even
where the file existed before with another mode; `write_atomic`, which writes a temporary file and renames it;
`try_lock`, `is_same_file`, `retry_open`, `write_all`, `sync_directory`.
Not here: the content of files, and the wording of failures: all of this raises OSError.
On Windows the access rights of the directory protect a user's files; modes are left alone there.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TextIO, TypeVar

PRIVATE_MODE = 0o600
_OTHERS = 0o077
RETRY_DELAYS_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
_MODES_UNSUPPORTED = frozenset({errno.EPERM, errno.EOPNOTSUPP, getattr(errno, "ENOTSUP", 0), errno.ENOSYS})
LOCKED_BYTE = 2**31 - 2  # Windows locks bytes, not files: this one is hardly ever read

Result = TypeVar("Result")


def retry_open(call: Callable[[], Result]) -> Result:
    """Call a function, and call it again while the system has no free file descriptor."""
    for delay_s in RETRY_DELAYS_S:
        try:
            return call()
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
        time.sleep(delay_s)
    return call()


def open_private_fd(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file as `os.open` does, and make a regular file readable by its owner only.

    The mode is set before the file is truncated. Devices, pipes and paths under /dev keep their mode.

    Args:
        path: The file.
        flags: As for `os.open`.

    Returns:
        The file descriptor.

    Raises:
        OSError: The file cannot be opened, or belongs to another user and cannot be made private.
    """
    if flags & os.O_CREAT:
        with suppress(FileExistsError):
            return retry_open(lambda: os.open(path, flags | os.O_EXCL, PRIVATE_MODE))
    fd = retry_open(lambda: os.open(path, flags & ~os.O_TRUNC, PRIVATE_MODE))
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            _make_private(fd, os.fspath(path))
            if flags & os.O_TRUNC:
                os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _make_private(fd: int, path: str) -> None:
    status = os.fstat(fd)
    if os.name == "nt" or not status.st_mode & _OTHERS or path.startswith("/dev/"):
        return
    try:
        os.fchmod(fd, PRIVATE_MODE)
    except OSError as error:
        if error.errno not in _MODES_UNSUPPORTED:
            raise
        if status.st_uid != os.geteuid():  # otherwise the file system has no modes
            raise PermissionError(
                errno.EACCES, "it belongs to another user and cannot be made private", path
            ) from error


def open_private(path: Path) -> TextIO:
    """Open a text file for writing, truncated and readable by its owner only."""
    return open(path, "w", encoding="utf-8", opener=open_private_fd)


def write_private(path: Path, text: str) -> None:
    """Write a text to a file that only its owner can read."""
    with open_private(path) as file:
        file.write(text)


def write_atomic(
    path: Path, chunks: Iterable[bytes], *, mode: int = PRIVATE_MODE, one_writer: bool = False
) -> None:
    """Write a temporary file beside `path`, then rename it: readers see the old file or the new one.

    Args:
        path: The file.
        chunks: Its new content.
        mode: The mode of the new file.
        one_writer: Whether a lock excludes other writers. The temporary file then has a fixed name, so that
            one left behind by a killed process is reused.

    Raises:
        OSError: The disk is full or failed; the old file is unchanged.
    """
    suffix = "" if one_writer else f".{os.getpid()}"
    temporary = path.with_name(f".{path.name}{suffix}.new")
    try:
        temporary.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        fd = open_private_fd(temporary, flags)
        try:
            for chunk in chunks:
                write_all(fd, chunk)
            os.fsync(fd)
        finally:
            os.close(fd)
        if mode != PRIVATE_MODE:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path)


def write_all(fd: int, data: bytes) -> None:
    """Write all bytes, however many each call of `os.write` takes; raises OSError if one fails."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_directory(path: Path) -> None:
    """Flush the directory of a new or renamed file to disk, on systems that can."""
    with suppress(OSError):
        fd = retry_open(lambda: os.open(path.parent, os.O_RDONLY))
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def is_same_file(fd: int, path: Path) -> bool:
    """Whether a path refers to the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def try_lock(fd: int) -> bool:
        """Lock an open file until it is closed; False at once if another process holds the lock."""
        position = os.lseek(fd, 0, os.SEEK_CUR)
        os.lseek(fd, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(fd, position, os.SEEK_SET)
        return True

else:
    import fcntl

    def try_lock(fd: int) -> bool:
        """Lock an open file until it is closed; False at once if another process holds the lock."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                return False
            raise
        return True
