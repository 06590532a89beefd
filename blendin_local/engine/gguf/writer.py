"""A small GGUF file, as bytes: keys, and tensors of 32-bit numbers.

Here: `gguf_bytes`.
Not here: reading (`engine.gguf.reader`).
Source: docs/gguf.md of ggml; version 3, little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

MAGIC_AND_VERSION = b"GGUF" + struct.pack("<I", 3)
ALIGNMENT = 32
_UINT32, _FLOAT32, _STRING, _ARRAY, _FLOAT64 = 4, 6, 8, 9, 12
_F32 = 0

Numbers = NDArray[np.float32]
WritableValue = str | int | float | Numbers


def gguf_bytes(values: Mapping[str, WritableValue], tensors: Mapping[str, Numbers]) -> bytes:
    """A whole file.

    Args:
        values: Texts, whole numbers below 2**32, numbers (written with 64 bits), and rows of 32-bit numbers.
        tensors: Their names and numbers, each of one dimension.
    """
    head = MAGIC_AND_VERSION + struct.pack("<QQ", len(tensors), len(values))
    head += b"".join(_text(key) + _value(value) for key, value in values.items())
    data = [_padded(tensor.astype("<f4").tobytes()) for tensor in tensors.values()]
    return _padded(head + _descriptions(tensors, data)) + b"".join(data)


def _descriptions(tensors: Mapping[str, Numbers], data: Sequence[bytes]) -> bytes:
    found, offset = b"", 0
    for (name, tensor), block in zip(tensors.items(), data, strict=True):
        found += _text(name) + struct.pack("<IQIQ", 1, len(tensor), _F32, offset)
        offset += len(block)
    return found


def _value(value: WritableValue) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value, float):
        return struct.pack("<Id", _FLOAT64, value)
    return struct.pack("<IIQ", _ARRAY, _FLOAT32, len(value)) + value.astype("<f4").tobytes()


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return struct.pack("<Q", len(data)) + data


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)
