"""Reading small files that others may have put there: models.toml, and templates that it names.

Here: `read_small_text`, which reads regular files of bounded size as UTF-8; `parse_toml`; `absolute` paths.
Not here: what the keys mean (`models.schema`, `models.registry`).
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.paths import decode

LARGEST_TEXT = 2**18
MOST_KEYS_IN_A_CHAIN = 8  # `a.b.c`: tomllib takes quadratic time for it
_LINK = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_CHAIN = re.compile(rf"(?<![\w-])(?:{_LINK}){{{MOST_KEYS_IN_A_CHAIN}}}")


def read_small_text(path: Path) -> str:
    """The text of a regular file; nothing else is waited for, and no more than `LARGEST_TEXT` is read.

    Raises:
        UsageError: It cannot be read, is no regular file, is too large, or is not UTF-8.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"{path} is not a regular file", "name a text file")
            data = file.read(LARGEST_TEXT + 1)
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory, not a file", "name a text file, or move it away") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", "check the file") from error
    except ValueError as error:  # a NUL in the path
        raise UsageError(f"{str(path)!r} is not a path: {error}", "check the path") from error
    if len(data) > LARGEST_TEXT:
        raise UsageError(f"{path} is larger than {LARGEST_TEXT:,} bytes", "is it the right file?")
    return decode(data, str(path))


def absolute(path: Path, named_by: object, directory: Path | None = None) -> Path:
    """A path as it is from everywhere, `~` and links resolved.

    Raises:
        UsageError: There is no such user, no working directory, or it cannot be a path.
    """
    try:
        return (directory or Path()).joinpath(path.expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{named_by} names {str(path)!r}: {error}", "check the path") from error


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """What a TOML text says.

    Raises:
        UsageError: It is not TOML, or is nested more deeply than any such file needs.
    """
    if chain := _CHAIN.search(text):
        line = text.count("\n", 0, chain.start()) + 1
        raise UsageError(f"{path} is not a models.toml: line {line} chains too many keys", "mend that line")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}", "mend it") from error
    except RecursionError:
        raise UsageError(f"{path} is not a models.toml: it is nested too deeply", "mend it") from None
    except ValueError as error:  # a number of thousands of digits, a date that does not exist
        raise UsageError(f"{path} is not valid TOML: {error}", "mend it") from error
