"""The size of a search over chunks: how many sequences, and how long a chunk is.

Here: `SearchSize`, and its text `W,K,L`.
Not here: the search (`decode.search`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from blendin_local.errors import UsageError

MAX_SEQUENCES = 255  # llama.cpp has 256, and one is for the scores
MAX_LENGTH = 100_000
_PARTS = re.compile(r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*")


@dataclass(frozen=True, slots=True)
class SearchSize:
    """How much a search over chunks tries.

    Attributes:
        width: W, how many beams are kept after each chunk.
        copies: K, how many continuations of each beam are drawn.
        length: L, the steps of a chunk.
    """

    width: int
    copies: int
    length: int

    @classmethod
    def of(cls, text: str) -> SearchSize:
        """The size that a text such as `2,2,30` names.

        Raises:
            UsageError: It is not three whole numbers from 1 on, or too many sequences.
        """
        found = _PARTS.fullmatch(text)
        numbers = [int(number) for number in found.groups()] if found else [0]
        if min(numbers) < 1:
            raise UsageError(
                f"search is {text!r:.60}", "give three whole numbers: beams, copies and steps, such as 2,2,30"
            )
        size = cls(*numbers)
        if size.n_sequences > MAX_SEQUENCES or size.length > MAX_LENGTH:
            raise UsageError(
                f"search {text} is too much: {size.n_sequences} sequences, chunks of {size.length} steps",
                f"at most {MAX_SEQUENCES} sequences and {MAX_LENGTH} steps are possible",
            )
        return size

    @property
    def n_sequences(self) -> int:
        """How many sequences are written at once: W * K."""
        return self.width * self.copies

    @property
    def n_slots(self) -> int:
        """How many sequences of each model it needs: one more, in which texts are scored."""
        return self.n_sequences + 1

    def __str__(self) -> str:
        return f"{self.width},{self.copies},{self.length}"
