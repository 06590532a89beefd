"""Any exception as an error of our tree: failures of the system are distinguished from bugs.

Here: `as_error`, used wherever an error becomes a message; `cannot_write`.
Not here: the errors (`blendin_local.errors`), how a message is printed (`views.answer`,
`cli.common.printing`).
"""

from __future__ import annotations

import errno
from pathlib import Path

from blendin_local.errors import BlendinError, LoadError, UnforeseenError, UsageError, WriteError
from blendin_local.paths import working_directory

FULL = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "ENXIO", "ENODEV")
    if hasattr(errno, name)
}
NO_MEMORY = "use a smaller --ctx-size, a smaller quantization or a smaller model"
BUG = "set BLENDIN_DEBUG=1 to see where, and please report it"


def as_error(error: BaseException) -> BlendinError:
    """The error itself if it is ours; a failure of the system with its next step; otherwise a bug."""
    if isinstance(error, BlendinError):
        return error
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, MemoryError):
        return LoadError("there is not enough memory", NO_MEMORY)
    return UnforeseenError(error, BUG)


def cannot_write(name: str | Path, error: OSError) -> WriteError:
    """The error for an output that could not be written to its end."""
    hint = "free some space, or write elsewhere" if error.errno in FULL else "write elsewhere"
    return WriteError(f"{name} cannot be written: {error.strerror or error}", hint)


def _of_system(error: OSError) -> BlendinError:
    name = error.filename if error.filename is not None else ""
    name = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in FULL:
        return cannot_write(name or "an output", error)
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return BlendinError(f"{name or 'a file'} cannot be opened: {reason}", "raise the limit (ulimit -n)")
    if error.errno == errno.ENOMEM:
        return LoadError(f"the system has no memory left: {reason}", NO_MEMORY)
    if error.errno == errno.ENOENT and working_directory() is None:
        return UsageError("the working directory was removed", "change to one that exists")
    return UsageError(f"{name}: {reason}" if name else reason, "check the path and its permissions")
