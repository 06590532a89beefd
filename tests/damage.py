"""Model files that are damaged in a known way."""

from __future__ import annotations

import struct
from pathlib import Path

from blendin_local.engine.gguf.reader import GgufFile
from tests.toys import make_toy


def doubled_token(path: Path, kind: str = "plain") -> Path:
    """A toy with the same token twice, at which llama.cpp aborts the process."""
    make_toy(path, kind)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"<0x48>", b"<0x49>", 1))
    return path


def filled_weights(path: Path, kind: str, number: float) -> Path:
    """A toy whose weights are all the same number."""
    make_toy(path, kind)
    with GgufFile(path) as file:
        start = file.header_bytes
    data = bytearray(path.read_bytes())
    count = (len(data) - start) // 4
    data[start : start + 4 * count] = struct.pack("<f", number) * count
    path.write_bytes(data)
    return path
