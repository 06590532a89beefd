"""Many byte strings in one block of memory.

Here: `ByteStrings`, a sequence of bytes objects that are made when they are asked for.
Not here: what the strings are (`core.candidates`), files of them (`engine.vocabulary_cache`).
A bytes object takes 33 bytes more than it holds. A vocabulary has 262,144 of them, and an answer needs few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class ByteStrings(Sequence[bytes]):
    """Byte strings that lie one after another.

    Args:
        joined: All of them.
        starts: Where each begins. Shape (n,).
        ends: Where each ends: `starts[i] <= ends[i] <= len(joined)`. Shape (n,).
    """

    def __init__(self, joined: bytes, starts: NDArray[np.uint32], ends: NDArray[np.uint32]) -> None:
        self.joined = joined
        self.starts, self.ends = (np.ascontiguousarray(each, np.uint32) for each in (starts, ends))
        # reading one entry of a memoryview takes a third of the time of a numpy array
        self._starts, self._ends = self.starts.data, self.ends.data

    @classmethod
    def of(cls, strings: Iterable[bytes]) -> ByteStrings:
        """The same strings in one block."""
        parts = list(strings)
        offsets = np.zeros(len(parts) + 1, np.uint32)
        np.cumsum(np.array([len(part) for part in parts], np.uint32), out=offsets[1:])
        return cls(b"".join(parts), offsets[:-1], offsets[1:])

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return self.several(np.arange(len(self))[index])
        return self.joined[self._starts[index] : self._ends[index]]

    def __iter__(self) -> Iterator[bytes]:
        joined = self.joined
        return (joined[start:end] for start, end in zip(self._starts, self._ends, strict=True))

    def several(self, indices: Sequence[int] | NDArray[np.intp]) -> list[bytes]:
        """The strings at these places; faster than one by one."""
        joined, starts, ends = self.joined, self.starts[indices].tolist(), self.ends[indices].tolist()
        return [joined[start:end] for start, end in zip(starts, ends, strict=True)]

    @property
    def lengths(self) -> NDArray[np.uint32]:
        """The length of each. Shape (n,)."""
        return self.ends - self.starts

    def emptied(self, indices: NDArray[np.intp]) -> ByteStrings:
        """The same, with empty strings at these places."""
        ends = self.ends.copy()
        ends[indices] = self.starts[indices]
        return ByteStrings(self.joined, self.starts, ends)

    def before_inner(self, byte: int) -> frozenset[int]:
        """The other bytes that stand just before `byte` inside a string."""
        data = np.frombuffer(self.joined, np.uint8)
        at = np.flatnonzero(data == byte)
        first = np.zeros(len(data) + 1, np.bool_)
        first[self.starts] = True
        before = data[at[~first[at]] - 1]
        return frozenset(before[before != byte].tolist())
