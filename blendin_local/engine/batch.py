"""The tokens of one `llama_decode` call.

Here: `BatchSlice`, what one sequence gives to it; `TokenBatch`, numpy views on the C arrays; `n_outputs`,
how many logits.
Not here: which tokens to evaluate (`engine.context`).
Source: `llama_batch_init` leaves its memory uninitialised; views store ten times faster than ctypes does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from blendin_local.engine.library import library
from blendin_local.engine.sequence import TokenSequence

MAX_OUTPUTS = 16  # tokens with logits in one call; each costs room for two rows over the vocabulary


@dataclass(frozen=True, slots=True)
class BatchSlice:
    """One sequence's tokens in a batch.

    Attributes:
        sequence: Whose they are.
        n_tokens: How many.
        rows: The places in the batch whose logits are read, once the sequence has read everything.
        complete: Whether it then has.
    """

    sequence: TokenSequence
    n_tokens: int
    rows: range
    complete: bool


class TokenBatch:
    """Room for `capacity` tokens, each with position, sequence and whether its logits are needed."""

    def __init__(self, capacity: int) -> None:
        self._api = library().api
        self.capacity = capacity
        self.struct: Any = self._api.llama_batch_init(capacity, 0, 1)
        self._tokens = np.ctypeslib.as_array(self.struct.token, (capacity,))
        self._positions = np.ctypeslib.as_array(self.struct.pos, (capacity,))
        self._wants_logits = np.ctypeslib.as_array(self.struct.logits, (capacity,))
        np.ctypeslib.as_array(self.struct.n_seq_id, (capacity,))[:] = 1
        self._sequences = [self.struct.seq_id[i] for i in range(capacity)]
        self._own_sequences = [0] * capacity
        for pointer in self._sequences:
            pointer[0] = 0
        self.clear()

    def clear(self) -> None:
        """Forget all tokens."""
        self.struct.n_tokens = 0

    @property
    def n_tokens(self) -> int:
        """How many tokens are in it."""
        return int(self.struct.n_tokens)

    def add(
        self,
        seq_id: int,
        start: int,
        tokens: Sequence[int],
        n_rows: int,
    ) -> range:
        """Append tokens of one sequence from position `start`.

        Returns:
            The places of the last `n_rows` tokens, by which their logits are read.
        """
        first = self.n_tokens
        last = first + len(tokens)
        self._tokens[first:last] = tokens
        self._positions[first:last] = range(start, start + len(tokens))
        self._wants_logits[first:last] = False
        self._wants_logits[last - n_rows : last] = True
        for i in range(first, last):
            if self._own_sequences[i] != seq_id:
                self._sequences[i][0] = self._own_sequences[i] = seq_id
        self.struct.n_tokens = last
        return range(last - n_rows, last)

    def close(self) -> None:
        """Free the C arrays; the object is unusable afterwards."""
        if self.struct is not None:
            self._api.llama_batch_free(self.struct)
            self.struct = None


def n_outputs(n_parallel: int) -> int:
    """For how many tokens of one call a context has room for logits; asked for more, llama.cpp aborts."""
    return max(n_parallel, MAX_OUTPUTS)
