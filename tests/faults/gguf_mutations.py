"""Seeded damage to a GGUF file, at the places where a reader believes what it reads."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from blendin_local.engine.gguf.reader import GgufFile

PACKED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
WHOLE = (
    0,
    1,
    2,
    3,
    7,
    31,
    33,
    255,
    2**15,
    2**16 - 1,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
REAL = (0.0, -1.0, 1e-30, 1e30, math.nan, math.inf, -math.inf)


@dataclass(frozen=True)
class Patch:
    """Bytes in place of others; a cut where `cut` says where the file ends."""

    what: str
    place: int = 0
    new: bytes = b""
    cut: int | None = None

    def apply(self, path: Path) -> bytes:
        """Patch a file; returns what was there, for `undo`."""
        with path.open("r+b") as file:
            if self.cut is not None:
                file.seek(self.cut)
                old = file.read()
                file.truncate(self.cut)
                return old
            file.seek(self.place)
            old = file.read(len(self.new))
            file.seek(self.place)
            file.write(self.new)
        return old

    def undo(self, path: Path, old: bytes) -> None:
        """Put back what was there."""
        with path.open("r+b") as file:
            file.seek(self.place if self.cut is None else self.cut)
            file.write(old)


class Mutator:
    """Makes patches for one file.

    Args:
        path: A whole file.
        seed: The same gives the same patches.
        weights: Whether weights are damaged too.
    """

    def __init__(self, path: Path, seed: int, *, weights: bool = True) -> None:
        self._random = random.Random(seed)
        self._head = path.read_bytes()[: 2**24]
        with GgufFile(path) as file:
            self._entries = dict(file.entries)
            self._header = file.header_bytes
            self._tensors = list(file.tensors)
            self._size = file.least_size
        self._kinds: list[Callable[[], Patch]] = [
            self._flip, self._value, self._value, self._value, self._kind, self._cut, self._tensor,
            self._tensor, self._double, self._length, self._own_length, self._array_value,
        ]  # fmt: skip
        if weights:
            self._kinds += [self._weights]

    def patch(self) -> Patch:
        """The next damage."""
        return self._random.choice(self._kinds)()

    def _flip(self) -> Patch:
        place = self._random.randrange(4, self._header)
        count = self._random.choice((1, 1, 1, 4, 16))
        return Patch(f"{count} random bytes at {place}", place, self._random.randbytes(count))

    def _packed(self, kind: int) -> tuple[str, bytes]:
        layout = PACKED[kind]
        if layout in "fd":
            value = self._random.choice(REAL)
            return str(value), struct.pack("<" + layout, value)
        size = struct.calcsize(layout)
        number = self._random.choice(WHOLE) & (2 ** (8 * size) - 1)
        return str(number), number.to_bytes(size, "little")

    def _value(self) -> Patch:
        key = self._random.choice([k for k, e in self._entries.items() if not e.array and e.kind in PACKED])
        entry = self._entries[key]
        shown, new = self._packed(entry.kind)
        return Patch(f"{key} = {shown}", entry.position, new)

    def _array_value(self) -> Patch:
        arrays = [k for k, e in self._entries.items() if e.array and e.kind in PACKED and e.n]
        if not arrays:
            return self._value()
        key = self._random.choice(arrays)
        entry = self._entries[key]
        shown, new = self._packed(entry.kind)
        at = self._random.randrange(entry.n)
        return Patch(f"{key}[{at}] = {shown}", entry.position + at * len(new), new)

    def _kind(self) -> Patch:
        key = self._random.choice(list(self._entries))
        entry = self._entries[key]
        kind = self._random.choice((*range(13), 13, 255, 2**31))
        place = entry.position - (16 if entry.array else 4)
        return Patch(f"type of {key} = {kind}", place, struct.pack("<I", kind))

    def _cut(self) -> Patch:
        end = self._random.choice((self._header, self._size))
        cut = self._random.randrange(max(4, end - 2**20), end)
        return Patch(f"cut at {cut}", cut=cut)

    def _tensor_place(self, name: str) -> int:
        packed = struct.pack("<Q", len(name)) + name.encode()
        return self._head.rindex(packed, 0, self._header) + len(packed)

    def _tensor(self) -> Patch:
        tensor = self._random.choice(self._tensors)
        place, n = self._tensor_place(tensor.name), len(tensor.shape)
        number = self._random.choice(WHOLE)
        field = self._random.choice(("dimensions", "type", "type", "offset", "shape", "shape", "name"))
        if field == "dimensions":
            return Patch(f"dimensions of {tensor.name} = {number}", place, struct.pack("<I", number % 2**32))
        if field == "type":
            kind = self._random.choice((*range(45), 2**31))
            return Patch(f"type of {tensor.name} = {kind}", place + 4 + 8 * n, struct.pack("<I", kind))
        if field == "offset":
            return Patch(f"offset of {tensor.name} = {number}", place + 8 + 8 * n, struct.pack("<Q", number))
        if field == "name":
            return Patch(f"name of {tensor.name}", place - 3, b"xyz")
        at = self._random.randrange(n)
        length = self._random.choice((number, tensor.shape[at] * 2, max(1, tensor.shape[at] // 2)))
        new = struct.pack("<Q", length % 2**64)
        return Patch(f"shape of {tensor.name}[{at}] = {length}", place + 4 + 8 * at, new)

    def _double(self) -> Patch:
        """A token or a tensor that is there twice, the lengths being equal."""
        if self._random.random() < 0.5:
            names = [t.name for t in self._tensors]
            name = self._random.choice(names)
            others = [other for other in names if len(other) == len(name) and other != name]
            if others:
                place = self._tensor_place(name) - len(name)
                return Patch(f"{name} named like another", place, self._random.choice(others).encode())
        tokens = self._tokens()
        place, text = self._random.choice(tokens)
        same = [other for _, other in tokens if len(other) == len(text) and other != text]
        return Patch(f"token {text!r} doubled", place, self._random.choice(same or [text]))

    def _tokens(self) -> list[tuple[int, bytes]]:
        entry = self._entries["tokenizer.ggml.tokens"]
        at, found = entry.position, []
        for _ in range(entry.n):
            [size] = struct.unpack_from("<Q", self._head, at)
            found.append((at + 8, self._head[at + 8 : at + 8 + size]))
            at += 8 + size
        return found

    def _length(self) -> Patch:
        """An array or a text that says it is longer or shorter than it is."""
        key = self._random.choice([k for k, e in self._entries.items() if e.array or e.kind == 8])
        entry = self._entries[key]
        place = entry.position - 8 if entry.array else entry.position
        [length] = struct.unpack_from("<Q", self._head, place)
        number = self._random.choice((*WHOLE, length + 1, max(0, length - 1), 10**8))
        return Patch(f"length of {key} = {number}", place, struct.pack("<Q", number))

    def _own_length(self) -> Patch:
        """A count of the file itself: its version, its tensors, its keys."""
        what, place, size = self._random.choice((("version", 4, 4), ("tensors", 8, 8), ("keys", 16, 8)))
        number = self._random.choice((*WHOLE, len(self._tensors) - 1, len(self._entries) - 1))
        return Patch(f"{what} = {number}", place, (number % 2 ** (8 * size)).to_bytes(size, "little"))

    def _weights(self) -> Patch:
        """A tensor of nothing but NaN, infinity, zero or noise."""
        place = self._header
        chosen = self._random.randrange(len(self._tensors))
        for tensor in self._tensors[:chosen]:
            place += -(-tensor.size // 32) * 32
        tensor = self._tensors[chosen]
        noise = self._random.randbytes(4)
        filled = self._random.choice((b"\0\0\xc0\x7f", b"\0\0\x80\x7f", bytes(4), noise))
        return Patch(f"{tensor.name} filled with {filled.hex()}", place, filled * (tensor.size // 4))
