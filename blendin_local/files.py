"""Opening, replacing and locking files, so that nothing is lost and nobody else reads along.

Here: `private_fd`, `open_private` and `write_private` for files that hold conversations: they are the user's
alone (0600), also where they were there before; `replace_whole`: a reader finds the old file or the new one;
`lock`, `same_file`, `patiently`, `write_all`, `sync_directory`.
Not here: what is in the files, and what is said where the disk refuses: all of this raises OSError.
Windows keeps a user's files private by the rights of their directory; modes are left alone there.
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

PRIVATE = 0o600
OTHERS = 0o077
PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # between attempts to open a file
NO_MODES = frozenset({errno.EPERM, errno.EOPNOTSUPP, getattr(errno, "ENOTSUP", 0), errno.ENOSYS})
LOCKED_BYTE = 2**31 - 2  # Windows locks bytes, not files: one that is hardly ever read

Result = TypeVar("Result")


def patiently(call: Callable[[], Result]) -> Result:
    """What `call` returns; while the system has no file descriptor left it is called again."""
    for pause in PAUSES_S:
        try:
            return call()
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
        time.sleep(pause)
    return call()


def private_fd(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file as `os.open` does; a regular file can then be read by its owner alone.

    What is truncated is truncated after that. Devices, pipes and what lies under /dev keep their mode.

    Raises:
        OSError: It cannot be opened, or belongs to somebody else and cannot be made private.
    """
    if flags & os.O_CREAT:
        with suppress(FileExistsError):
            return patiently(lambda: os.open(path, flags | os.O_EXCL, PRIVATE))
    fd = patiently(lambda: os.open(path, flags & ~os.O_TRUNC, PRIVATE))
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            _tighten(fd, os.fspath(path))
            if flags & os.O_TRUNC:
                os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _tighten(fd: int, path: str) -> None:
    status = os.fstat(fd)
    if os.name == "nt" or not status.st_mode & OTHERS or path.startswith("/dev/"):
        return
    try:
        os.fchmod(fd, PRIVATE)
    except OSError as error:
        if error.errno not in NO_MODES:
            raise
        if status.st_uid != os.geteuid():  # else it is a file system without modes
            raise PermissionError(
                errno.EACCES, "it belongs to another user and cannot be made private", path
            ) from error


def open_private(path: Path) -> TextIO:
    """A text file opened for writing from its beginning, the user's alone."""
    return open(path, "w", encoding="utf-8", opener=private_fd)


def write_private(path: Path, text: str) -> None:
    """Write a whole text into a file that is the user's alone."""
    with open_private(path) as file:
        file.write(text)


def replace_whole(
    path: Path, chunks: Iterable[bytes], *, mode: int = PRIVATE, one_writer: bool = False
) -> None:
    """Write a file so that a reader finds the old or the new one, whatever happens.

    Args:
        path: The file.
        chunks: What it will hold.
        mode: Of the new file.
        one_writer: Whether a lock keeps other writers away: what a kill leaves behind is then used again.

    Raises:
        OSError: The disk is full or broken; the old file is there.
    """
    number = "" if one_writer else f".{os.getpid()}"
    temporary = path.with_name(f".{path.name}{number}.new")
    try:
        temporary.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        fd = private_fd(temporary, flags)
        try:
            for chunk in chunks:
                write_all(fd, chunk)
            os.fsync(fd)
        finally:
            os.close(fd)
        if mode != PRIVATE:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte; raises OSError where the disk takes only a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_directory(path: Path) -> None:
    """Make a new name in a directory last; systems that cannot do so are left alone."""
    with suppress(OSError):
        fd = patiently(lambda: os.open(path.parent, os.O_RDONLY))
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def same_file(fd: int, path: Path) -> bool:
    """Whether a path leads to the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def lock(fd: int) -> bool:
        """Lock an open file, without waiting, until it is closed; False where somebody else has it."""
        place = os.lseek(fd, 0, os.SEEK_CUR)
        os.lseek(fd, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(fd, place, os.SEEK_SET)
        return True

else:
    import fcntl

    def lock(fd: int) -> bool:
        """Lock an open file, without waiting, until it is closed; False where somebody else has it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                return False
            raise
        return True
