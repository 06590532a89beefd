"""One model's next-token distribution, computed only as far as it is used.

Here: `Prediction` (softmax, top-1, top-k candidates) and `silent_mass`.
Not here: what is done with two of them (`core.blending`, `core.methods`), the search for the largest of many
numbers (`core.largest`).
Source: eq. 1 and 2 of the paper, for a vocabulary of up to 262,144 entries at every step.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.candidates import Distribution, TokenTable
from blendin_local.core.largest import ColumnMaxima, largest
from blendin_local.errors import PairError

SAFE_LOGIT = 60  # the sum of e^60 over any vocabulary is within float32, so no shift is needed
SURE = 0.5  # a model that is surer of its token is not silent, and its list of candidates is mostly not read
SPARE = 16  # ids beyond k that are looked at, because some of the largest may be silent or have twins
NO_SUGGESTION_MASS = 0.5  # a model makes no suggestion if its silent mass exceeds this


def silent_mass(weights: NDArray[np.float32], table: TokenTable, total: float) -> float:
    """The share of a distribution on silent tokens: their weight over that of all, `total`.

    sum over silent i of w_i / total

    Silent tokens are control tokens: they have no bytes and do not end the answer, so they are no candidates.
    If they have most of the mass, the model considers the remaining candidates unlikely.

    Args:
        weights: w, unnormalised probabilities, not negative. Shape (n_vocab,).
        table: The bytes of each id; its length is n_vocab.
        total: The sum of the weights, above 0; it need not be 1.

    Returns:
        A share in [0, 1].
    """
    return float(weights[table.silent_ids].sum()) / total


class Prediction:
    """A model's distribution over its next token after some text.

    P(i) = exp(z_i) / sum_j exp(z_j), the full softmax (eq. 1). The top-1 probability costs one pass over the
    logits. The candidate list is computed when first read.

    Args:
        logits: z, natural logarithms of unnormalised probabilities. Shape (n_vocab,); copied, never kept.
        table: The bytes of each id; its length is n_vocab.
        top_k: Maximum length of the candidate list.

    Attributes:
        table: As given.
        top_id: The likeliest token that can be a candidate.
        top: Its bytes.
        top_p: Its probability.
        silent: Whether the model makes no suggestion: more than half of its probability is on silent tokens.
        legal_mass: Of a prediction that is conditioned on what is legal (`among`), the probability that the
            model gave to that; None of any other.

    Raises:
        PairError: A logit is NaN or infinite, or all are minus infinity.
    """

    legal_mass: float | None = None

    def __init__(self, logits: NDArray[np.float32], table: TokenTable, top_k: int) -> None:
        peak_id = int(logits.argmax())
        peak = float(logits[peak_id])
        self.table = table
        self._top_k = top_k
        self._shift = 0.0 if abs(peak) < SAFE_LOGIT else peak
        self._weights = np.exp(logits - self._shift if self._shift else logits)
        self._total = float(np.add.reduce(self._weights))
        if not math.isfinite(self._total):
            raise PairError("the model answered with numbers that are not finite", "the file may be damaged")
        self._set_top(peak_id if table.speakable[peak_id] else self._speakable_peak(logits))
        self.silent = (
            self.top_p < SURE and silent_mass(self._weights, table, self._total) > NO_SUGGESTION_MASS
        )

    def _set_top(self, top_id: int) -> None:
        self.top_id = top_id
        self.top = self.table.pieces[top_id]
        self.top_p = float(self._weights[top_id]) / self._total
        if self.top_p < SURE:
            _ = self._maxima  # now that the weights are in the processor's caches; after a guide they are not

    def among(self, legal: NDArray[np.bool_]) -> Prediction:
        """This distribution on condition that the next token is a legal one.

        P(i | legal) = P(i) / sum over legal j of P(j) for a legal i, 0 for any other. Where rounding leaves
        no legal token any probability, all of them have the same.

        Args:
            legal: Per id, whether it may come; silent ids may not. At least one may. Shape (n_vocab,).

        Returns:
            The conditioned prediction, whose `legal_mass` is the denominator. A model that makes no
            suggestion still makes none.
        """
        conditioned = Prediction.__new__(Prediction)
        conditioned.table, conditioned._top_k, conditioned._shift = self.table, self._top_k, self._shift
        conditioned.silent = self.silent
        conditioned._weights = self._weights * legal
        total = float(conditioned._weights.sum())
        conditioned.legal_mass = total / self._total
        if total == 0:
            conditioned._weights = legal.astype(np.float32)
            total = float(conditioned._weights.sum())
        conditioned._total = total
        conditioned._set_top(int(conditioned._weights.argmax()))
        return conditioned

    @cached_property
    def _maxima(self) -> ColumnMaxima:
        return ColumnMaxima(self._weights)

    def _speakable_peak(self, logits: NDArray[np.float32]) -> int:
        """The likeliest id that can be a candidate; used if a silent token is likelier."""
        return int(np.where(self.table.speakable, logits, -np.inf).argmax())

    def likeliest_ids(self, k: int) -> NDArray[np.intp]:
        """The ids of the k likeliest tokens, candidates or not, largest first."""
        return largest(self._weights, k)

    @property
    def log_normalizer(self) -> float:
        """Log Z = log sum_j exp(z_j): a candidate's logit is log P + log Z (natural logarithms)."""
        return math.log(self._total) + self._shift

    @cached_property
    def _pooled(self) -> NDArray[np.float32]:
        """The weights with ids of equal bytes summed on one id, and all end tokens on the first."""
        return self.table.pool(self._weights.copy())

    def _likeliest(self) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The ids of the k likeliest candidates and their weights, of equal ones the smaller id first.

        Most ids are candidates by themselves, so the likeliest are found in the weights as they are, beside
        the few candidates that several ids share. No other id reaches `bound`, so the list is right if its
        last does; where too many of the largest are no candidates, the pooled weights are searched.
        """
        bound = self._maxima.bound(self._top_k + SPARE)
        if bound <= 0:  # few have any weight, as where few are legal
            return self._likeliest_pooled(np.flatnonzero(self._pooled))
        found = self._maxima.reaching(bound, self._weights)
        single = found[self.table.is_single[found]]
        ids = np.concatenate([single, self.table.joint_ids])
        weights = np.concatenate([self._weights[single], self.table.joint_weights(self._weights)])
        best = np.lexsort((ids, -weights))[: self._top_k]
        if len(best) == self._top_k and weights[best[-1]] >= bound:
            return ids[best], weights[best]
        return self._likeliest_pooled(largest(self._pooled, self._top_k))

    def _likeliest_pooled(self, ids: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Of these ids, the k likeliest candidates and their weights, of equal ones the smaller id first."""
        best = ids[np.argsort(-self._pooled[ids], kind="stable")[: self._top_k]]
        return best, self._pooled[best]

    @cached_property
    def _ranked(self) -> tuple[Distribution, list[int]]:
        """The candidates, and their ids in the same order."""
        best, weights = self._likeliest()
        probabilities = (weights.astype(np.float64) / self._total).tolist()
        ids = best[: len(probabilities) - probabilities.count(0.0)].tolist()
        pieces = self.table.pieces.several(best[: len(ids)])
        return dict(zip(pieces, probabilities, strict=False)), ids

    @property
    def candidates(self) -> Distribution:
        """The k likeliest candidates, largest first, with probabilities from the full softmax (eq. 1, 2).

        Ids with the same bytes are summed and all ends pooled, so the first may be larger than `top_p`.
        """
        return self._ranked[0]

    def probability(self, piece: bytes) -> float | None:
        """P(piece) under the full softmax, listed or not; None if the vocabulary has no such token."""
        token = self.table.ids.get(piece)
        return None if token is None else float(self._pooled[token]) / self._total

    def mass(self, ids: NDArray[np.intp]) -> float:
        """The summed probability of these ids; of ids with equal bytes, only the first holds their sum."""
        return float(self._pooled[ids].sum()) / self._total

    @cached_property
    def margin(self) -> float:
        """P(s1) - P(s2): the difference between the two likeliest candidates, in [0, 1]."""
        first, second = (*(self._pooled[largest(self._pooled, 2)].astype(float) / self._total), 0.0)[:2]
        return float(first - second)

    @cached_property
    def entropy(self) -> float:
        """H = -sum_i P(i) * log P(i) over all ids, in nats, from 0 to log(n_vocab).

        With P = w / W this is log W - sum_i w_i * log(w_i) / W, where 0 * log 0 = 0.
        """
        terms = np.zeros_like(self._weights)
        np.log(self._weights, out=terms, where=self._weights > 0)
        terms *= self._weights
        return max(0.0, math.log(self._total) - float(terms.sum()) / self._total)

    def confidence(self, temperature: float) -> float:
        """The likeliest candidate's probability at another temperature: max_s P_T(s), P_T = softmax(z / T).

        Args:
            temperature: T > 0; 1 gives the probability of the first of `candidates`, more a smaller one.

        Returns:
            A probability in (0, 1].
        """
        with np.errstate(divide="ignore"):  # a weight of 0 stays one: exp(-inf / T) = 0
            tempered = np.log(self._weights)  # w^(1/T) as exp(log(w) / T), in place: half the time of `**`
        tempered -= tempered.max()
        tempered /= np.float32(temperature)
        np.exp(tempered, out=tempered)
        total = float(tempered.sum())
        return float(self.table.pool(tempered).max()) / total

    def id_of(self, piece: bytes) -> int | None:
        """The model's token id for `piece`, None if `piece` is not among the candidates computed so far."""
        if piece == self.top:
            return self.top_id
        if "_ranked" not in self.__dict__:
            return None
        candidates, ids = self._ranked
        return ids[list(candidates).index(piece)] if piece in candidates else None

    def best(self) -> bytes:
        """The likeliest token's bytes, as in greedy decoding."""
        return self.top

    def distribution(self) -> Distribution:
        """The candidates to sample from."""
        return self.candidates

    def alternatives(self) -> Distribution:
        """The candidates that a penalty chooses among: the same."""
        return self.candidates
