"""One model's next-token distribution, read only as far as somebody asks.

Here: `Prediction` (softmax, top-1, top-k candidates), `silent_mass`, and the selection of the largest of many
numbers.
Not here: what is done with two of them (`core.blending`, `core.methods`).
Source: eq. 1 and 2 of the paper, for a vocabulary of up to 262,144 entries at every step.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.candidates import Distribution, TokenTable
from blendin_local.errors import PairError

SAFE_LOGIT = 60  # e^60 times any vocabulary is far from the ends of float32: no shift is needed
COLUMN = 64  # numbers per column in `largest`
NO_SUGGESTION_MASS = 0.5  # of a distribution on silent tokens; above it a model makes no suggestion


def largest(values: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Indices of the k largest values, largest first, the smaller index first among equals.

    The array is read as a table of columns. The k-th largest of the columns' maxima is a lower bound of the
    k-th largest value, so only columns that reach it are searched: one fast pass over everything, where a
    partition of the whole takes ten times as long.

    Args:
        values: Shape (n,).
        k: At least 1.

    Returns:
        Shape (min(k, n),).
    """
    n_columns = len(values) // COLUMN
    if n_columns < k:
        return np.argsort(-values, kind="stable")[:k]
    table = values[: n_columns * COLUMN].reshape(COLUMN, n_columns)
    maxima = table.max(axis=0)
    bound = np.partition(maxima, -k)[-k]
    columns = np.flatnonzero(maxima >= bound)
    row, place = np.divmod(np.flatnonzero(table[:, columns] >= bound), len(columns))
    rest = np.arange(n_columns * COLUMN, len(values))
    survivors = np.sort(np.concatenate([row * n_columns + columns[place], rest]))
    return survivors[np.argsort(-values[survivors], kind="stable")[:k]]


def silent_mass(weights: NDArray[np.float32], table: TokenTable, total: float) -> float:
    """The share of a distribution that lies on silent tokens: their weight over that of all, `total`.

    Such tokens have no bytes and do not end the answer: control tokens. They drop out of the candidates;
    where they have the weight, what is left is what the model would hardly say.

    Args:
        weights: Shape (n_vocab,), not negative.
        table: The bytes behind the ids, same length.
        total: Their sum, above 0; it need not be 1.
    """
    return float(weights[table.silent_ids].sum()) / total


class Prediction:
    """A model's distribution over its next token after some text.

    The top-1 probability costs one pass over the logits. The candidate list is made when first read.

    Args:
        logits: Shape (n_vocab,), natural units; read at once, never kept.
        table: The bytes behind the ids, same length.
        top_k: Length of the candidate list.
    """

    def __init__(self, logits: NDArray[np.float32], table: TokenTable, top_k: int) -> None:
        peak_id = int(logits.argmax())
        peak = logits[peak_id]
        self.table = table
        self._top_k = top_k
        self._weights = np.exp(logits if abs(peak) < SAFE_LOGIT else logits - peak)
        self._total = float(self._weights.sum())
        if not np.isfinite(self._total):
            raise PairError("the model answered with numbers that are not finite", "the file may be damaged")
        self.top_id = peak_id if table.speakable[peak_id] else self._speakable_peak(logits)
        self.top = table.pieces[self.top_id]
        self.top_p = float(self._weights[self.top_id]) / self._total

    @cached_property
    def silent(self) -> bool:
        """Whether the model makes no suggestion: more than half of its weight is on silent tokens."""
        if self.top_p >= 1 - NO_SUGGESTION_MASS:
            return False
        return silent_mass(self._weights, self.table, self._total) > NO_SUGGESTION_MASS

    def _speakable_peak(self, logits: NDArray[np.float32]) -> int:
        """The likeliest id that can be a candidate, where a control token is likelier still."""
        return int(np.where(self.table.speakable, logits, -np.inf).argmax())

    @cached_property
    def _pooled(self) -> NDArray[np.float32]:
        """The weights by candidate: those of one byte string on its head, those of all ends on the first."""
        return self.table.pool(self._weights.copy())

    @cached_property
    def _ranked(self) -> tuple[dict[bytes, float], dict[bytes, int]]:
        weights = self._pooled
        best = largest(weights, self._top_k)
        probabilities = (weights[best].astype(np.float64) / self._total).tolist()
        ids = best[: len(probabilities) - probabilities.count(0.0)].tolist()
        pieces = [self.table.pieces[i] for i in ids]
        return dict(zip(pieces, probabilities, strict=False)), dict(zip(pieces, ids, strict=True))

    @property
    def candidates(self) -> Distribution:
        """The k likeliest candidates, largest first, with probabilities from the full softmax (eq. 1, 2).

        Ids with the same bytes are summed and all ends pooled, so the head may outweigh `top_p`.
        """
        return self._ranked[0]

    def probability(self, piece: bytes) -> float | None:
        """P(piece) under the full softmax, listed or not; None if the vocabulary has no such token."""
        token = self.table.ids.get(piece)
        return None if token is None else float(self._pooled[token]) / self._total

    def mass(self, ids: NDArray[np.intp]) -> float:
        """The summed probability of these tokens under the full softmax; twins count at their heads."""
        return float(self._pooled[ids].sum()) / self._total

    def confidence(self, temperature: float) -> float:
        """The likeliest candidate's probability at another temperature: max_s P_T(s), P_T = softmax(z / T).

        Args:
            temperature: T > 0; 1 gives the likeliest of `candidates`, more gives less confidence.
        """
        tempered = (self._weights / self._weights.max()) ** np.float32(1 / temperature)
        total = float(tempered.sum())
        return float(self.table.pool(tempered).max()) / total

    def id_of(self, piece: bytes) -> int | None:
        """The token id by which this model itself would say `piece` here, None if it did not propose it."""
        if piece == self.top:
            return self.top_id
        return self._ranked[1].get(piece) if "_ranked" in self.__dict__ else None

    def best(self) -> bytes:
        """The likeliest token's bytes: what this model alone would say."""
        return self.top

    def distribution(self) -> Distribution:
        """The candidates to sample from."""
        return self.candidates
