"""The tokens of one `llama_decode` call.

Here: `BatchSlice`, what one sequence gives to it; `TokenBatch`, views on the C arrays; `n_outputs`,
how many logits; `limit_drafts`, where drafts would need more.
Not here: which tokens to evaluate (`engine.context`).
Source: `llama_batch_init` leaves its memory uninitialised; memoryviews store one value faster than numpy and
ctypes do, and most batches have one token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from blendin_local.engine.library import library
from blendin_local.engine.sequence import TokenSequence

MAX_OUTPUTS = 16  # tokens with logits in one call; each costs room for two rows over the vocabulary

UNREAD_ROWS = 4  # further ones of several sequences, with which batches are filled up (`engine.padding`)


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


def _view(numbers: Any, n: int, kind: Literal["b", "i"]) -> memoryview[int]:
    """The first `n` of these C integers, which have 8 or 32 bits."""
    return np.ctypeslib.as_array(numbers, (n,)).data.cast("B").cast(kind)


class TokenBatch:
    """Room for `capacity` tokens, each with position, sequence and whether its logits are needed.

    Attributes:
        n_rows: After how many of its tokens logits are computed.
    """

    def __init__(self, capacity: int) -> None:
        self._api = library().api
        self.capacity = capacity
        self.n_rows = 0
        self.struct: Any = self._api.llama_batch_init(capacity, 0, 1)
        self._tokens = _view(self.struct.token, capacity, "i")
        self._positions = _view(self.struct.pos, capacity, "i")
        self._wants_logits = _view(self.struct.logits, capacity, "b")
        np.ctypeslib.as_array(self.struct.n_seq_id, (capacity,))[:] = 1
        self._sequences = [self.struct.seq_id[i] for i in range(capacity)]
        self._own_sequences = [0] * capacity
        for pointer in self._sequences:
            pointer[0] = 0
        self.clear()

    def clear(self) -> None:
        """Forget all tokens."""
        self.struct.n_tokens = self.n_rows = 0

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
        for i, token in enumerate(tokens, first):
            self._tokens[i] = token
            self._positions[i] = start + i - first
            self._wants_logits[i] = i >= last - n_rows
            if self._own_sequences[i] != seq_id:
                self._sequences[i][0] = self._own_sequences[i] = seq_id
        self.struct.n_tokens = last
        self.n_rows += n_rows
        return range(last - n_rows, last)

    def want_logits(self, place: int) -> None:
        """Have logits computed after the token in this place, too; so far they are not."""
        self._wants_logits[place] = True
        self.n_rows += 1

    def close(self) -> None:
        """Free the C arrays; the object is unusable afterwards."""
        if self.struct is not None:
            self._api.llama_batch_free(self.struct)
            self.struct = None


def n_outputs(n_parallel: int) -> int:
    """For how many tokens of one call a context has room for logits; asked for more, llama.cpp aborts."""
    return max_rows(n_parallel) + (UNREAD_ROWS if n_parallel > 1 else 0)


def max_rows(n_parallel: int) -> int:
    """After how many tokens of one call logits can be read."""
    return max(n_parallel, MAX_OUTPUTS)


def limit_drafts(sequences: Sequence[TokenSequence], most: int) -> None:
    """Shorten drafts for which one call has no room: asked for more rows, llama.cpp ends the process."""
    excess = sum(min(max(1, each.n_unread), 1 + len(each.draft)) for each in sequences) - most
    for sequence in reversed(sequences):
        if excess <= 0:
            break
        unread = min(len(sequence.draft), sequence.n_unread)
        sequence.shorten_draft(len(sequence.draft) - min(unread, excess))
        excess -= min(unread, excess)
