"""The key-value header of a GGUF file, read without llama.cpp and without any weights.

Here: `GgufFile`, which walks the header once, checks every count, length, type and offset against what is
there, and looks values up.
Not here: what the keys mean (`engine.gguf.header`), which values make sense (`engine.gguf.bounds`).
Source: ggml/src/gguf.cpp and docs/gguf.md of ggml. llama.cpp's own reader is not used, since a damaged header
can abort or crash the process that calls it; the reader of the `gguf` package makes an array of every token.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from blendin_local.errors import LoadError

Value = int | float | bool | str

# gguf.h, enum gguf_type: how each number is packed
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING = 8
_ARRAY = 9
# ggml.h, enum ggml_type: weights of one block, bytes of one block
TENSOR_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18), 42: (64, 18),
}  # fmt: skip
_VERSIONS = (2, 3)
_HEADER_BYTES = (2**24, 2**28)  # bytes read at first, and the maximum
_MAX_KEYS = 2**16
_MAX_TENSORS = 2**20
_KEY_BYTES = 2**16 - 1
_TENSOR_NAME_BYTES = 63  # GGML_MAX_NAME, with its final zero
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
_MAX_WEIGHTS = 2**48  # of one tensor
_DEFAULT_ALIGNMENT = 32
_SHOWN = 80  # characters of a name in a message
_MAX_NUMBERS = 4096  # per-layer arrays are short; longer ones belong to the vocabulary


class Entry(NamedTuple):
    """Location of a value: its type, or that of an array's entries, their number, the offset of the first."""

    kind: int
    n: int
    position: int
    array: bool


class Tensor(NamedTuple):
    """One tensor's description: name, shape, number format, bytes, and their offset from the header's end."""

    name: str
    shape: tuple[int, ...]
    kind: int
    size: int
    offset: int = 0


class _DamagedError(Exception):
    """The header contains an impossible value."""


class _TooShortError(Exception):
    """The header continues after the bytes that were read."""


class GgufFile:
    """A header, walked once and kept in memory; use it in a `with` block.

    Attributes:
        entries: Every key and where its value lies.
        tensors: What the tensors are.
        header_bytes: Length of the header; the weights follow.
        least_size: The size a whole file has at least.

    Raises:
        LoadError: The file is no GGUF, cut short, or its header has an impossible value.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._read()
        except _DamagedError as error:
            raise LoadError(
                f"{path} is damaged or cut short: its GGUF header cannot be read: {error}",
                "fetch the file again, or name another one",
            ) from error
        except (_TooShortError, struct.error, OverflowError) as error:
            raise LoadError(
                f"{path} is damaged or cut short: its GGUF header does not end",
                "fetch the file again, or check that the copy was complete",
            ) from error

    def _read(self) -> None:
        for max_bytes in _HEADER_BYTES:
            with self.path.open("rb") as file:
                self._data = file.read(max_bytes)
            try:
                self._walk()
            except (_TooShortError, struct.error, OverflowError):
                if len(self._data) < max_bytes or max_bytes == _HEADER_BYTES[-1]:
                    raise
            else:
                return

    def _walk(self) -> None:
        version, n_tensors, n_keys = self._unpack("4xIQQ", 0)
        if version not in _VERSIONS:
            raise _DamagedError(f"its version is {version}, and only {_VERSIONS} are known")
        _require("the number of keys", n_keys, _MAX_KEYS)
        _require("the number of tensors", n_tensors, _MAX_TENSORS)
        self.entries: dict[str, Entry] = {}
        position = 24
        for _ in range(n_keys):
            position = self._walk_entry(position)
        alignment = self._alignment()
        self.tensors: list[Tensor] = []
        position = self._walk_tensors(position, n_tensors, alignment)
        self.header_bytes = _padded(position, alignment)
        self.least_size = self.header_bytes + self._end if n_tensors else position

    def _unpack(self, layout: str, position: int) -> tuple[int, ...]:
        return struct.unpack_from("<" + layout, self._data, position)

    def _text(self, position: int, max_bytes: int, what: str) -> tuple[str, int]:
        """A string and where it ends."""
        [length] = self._unpack("Q", position)
        _require(f"the length of {what}", length, max_bytes)
        position += 8
        if position + length > len(self._data):
            raise _TooShortError
        return self._data[position : position + length].decode("utf-8", "replace"), position + length

    def _walk_entry(self, position: int) -> int:
        key, position = self._text(position, _KEY_BYTES, "a key")
        [kind] = self._unpack("I", position)
        position += 4
        count, array = 1, kind == _ARRAY
        if array:
            kind, count = self._unpack("IQ", position)
            position += 12
        if key in self.entries:
            raise _DamagedError(f"the key {shown(key)} comes twice")
        self.entries[key] = Entry(kind, count, position, array)
        if kind == _STRING:
            return self._past_strings(position, count)
        if kind not in _SCALARS:
            raise _DamagedError(f"{shown(key)} has the unknown type {kind}")
        end = position + count * struct.calcsize("<" + _SCALARS[kind])
        if end > len(self._data):
            raise _TooShortError
        return end

    def _past_strings(self, position: int, count: int) -> int:
        data, unpack = self._data, struct.Struct("<Q").unpack_from
        if count > len(data) // 8:
            raise _TooShortError
        for _ in range(count):
            position += 8 + unpack(data, position)[0]
        if position > len(data):
            raise _TooShortError
        return position

    def _alignment(self) -> int:
        entry = self.entries.get("general.alignment")
        if entry is None:
            return _DEFAULT_ALIGNMENT
        alignment = self.value("general.alignment")
        if not isinstance(alignment, int) or alignment not in {2**i for i in range(3, 17)}:
            raise _DamagedError(f"general.alignment is {alignment}, and must be a power of two, at least 8")
        return alignment

    def _walk_tensors(self, position: int, count: int, alignment: int) -> int:
        """Read the descriptions; the weights must follow one another, as llama.cpp demands."""
        names: set[str] = set()
        self._end = 0
        for _ in range(count):
            name, position = self._text(position, _TENSOR_NAME_BYTES, "a tensor's name")
            if name in names:
                raise _DamagedError(f"the tensor {shown(name)} comes twice")
            names.add(name)
            [n_dimensions] = self._unpack("I", position)
            _require(f"the number of dimensions of {shown(name)}", n_dimensions, _MAX_DIMENSIONS)
            *shape, kind, offset = self._unpack("Q" * n_dimensions + "IQ", position + 4)
            position += 4 + 8 * n_dimensions + 12
            if offset != self._end:
                raise _DamagedError(f"the tensor {shown(name)} lies at {offset:,} instead of {self._end:,}")
            tensor = Tensor(name, tuple(shape), kind, _size(name, shape, kind), offset)
            self.tensors.append(tensor)
            self._end = _padded(offset + tensor.size, alignment)
        if self.tensors:
            self._end = offset + tensor.size  # the last one need not be padded
        return position

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._data = b""

    def value(self, key: str) -> Value | None:
        """The single value under `key`; None if the key is absent or holds an array."""
        entry = self.entries.get(key)
        if entry is None or entry.array:
            return None
        if entry.kind == _STRING:
            return self._text(entry.position, len(self._data), key)[0]
        return self._unpack(_SCALARS[entry.kind], entry.position)[0]

    def numbers(self, key: str) -> tuple[int, ...] | None:
        """The integers under `key`, a single one or a short array; None if there are none."""
        return None if (found := self.raw_numbers(key)) is None else tuple(map(int, found))

    def raw_numbers(self, key: str, most: int = _MAX_NUMBERS) -> tuple[int | float, ...] | None:
        """The numbers under `key` as they are; None if there are none, or more than `most`."""
        entry = self.entries.get(key)
        if entry is None or entry.kind == _STRING or entry.n > most:
            return None
        return self._unpack(_SCALARS[entry.kind] * entry.n, entry.position)

    def text_bytes(self, key: str) -> int:
        """Length of the single text under `key`; 0 if there is none."""
        entry = self.entries.get(key)
        if entry is None or entry.array or entry.kind != _STRING:
            return 0
        return self._unpack("Q", entry.position)[0]

    def length(self, key: str) -> int:
        """How many entries the array under `key` has; 0 if there is none."""
        entry = self.entries.get(key)
        return entry.n if entry is not None and entry.array else 0

    def texts(self, key: str, positions: Sequence[int]) -> tuple[str, ...]:
        """The strings at `positions` of the array under `key`; positions outside it are left out."""
        entry = self.entries.get(key)
        if entry is None or not entry.array or entry.kind != _STRING:
            return ()
        texts = {position: "" for position in positions if 0 <= position < entry.n}
        at = entry.position
        for i in range(max(texts, default=-1) + 1):
            [length] = self._unpack("Q", at)
            if i in texts:
                texts[i] = self._data[at + 8 : at + 8 + length].decode("utf-8", "replace")
            at += 8 + length
        return tuple(texts.values())

    def parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(tensor.size for tensor in self.tensors)


def shown(text: str) -> str:
    """A name from a file as one line of a message, shortened and with control characters escaped."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _size(name: str, shape: Sequence[int], kind: int) -> int:
    """Bytes of a tensor; its rows are whole blocks."""
    if kind not in TENSOR_TYPES:
        raise _DamagedError(f"the tensor {shown(name)} has the unknown type {kind}")
    if any(not 0 < length <= _MAX_WEIGHTS for length in shape) or math.prod(shape) > _MAX_WEIGHTS:
        raise _DamagedError(f"the tensor {shown(name)} has the shape {tuple(shape)}")
    block, size = TENSOR_TYPES[kind]
    if shape and shape[0] % block:
        raise _DamagedError(
            f"a row of the tensor {shown(name)} has {shape[0]} weights, no multiple of {block}"
        )
    return math.prod(shape) // block * size


def _padded(length: int, alignment: int) -> int:
    return -(-length // alignment) * alignment


def _require(what: str, found: int, limit: int) -> None:
    if found > limit:
        raise _DamagedError(f"{what} is {found:,}, more than {limit:,}")
