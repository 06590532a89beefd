"""Where two vocabularies meet: tokens as byte strings.

Here: `TokenTable`, what a model's token ids mean in bytes, `duplicates`, and `END`, the one candidate for all
its end-of-generation tokens.
Not here: how the bytes are read out of a model file (`engine.vocabulary`).
Source: design rule "Bytes"; duplicate byte strings exist in SentencePiece vocabularies with byte fallback.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.byte_strings import ByteStrings

END = b""
"""The end of the answer. Any other candidate adds bytes, so the empty string is free to mean it."""

Distribution = Mapping[bytes, float]
"""Probabilities of candidates, largest first; what is missing has probability 0."""


def duplicates(
    pieces: Iterable[bytes], end_ids: Collection[int], fallback_ids: Collection[int] = ()
) -> NDArray[np.intp]:
    """Ids whose bytes another id has too, each with the one id that represents these bytes.

    Arguments: those of `TokenTable.build`.

    Returns:
        Shape (t, 2).
    """
    ends, late = set(end_ids), set(fallback_ids)
    strings = list(pieces)
    canonical: dict[bytes, int] = {}
    found: list[tuple[int, int]] = []
    for i in (*(i for i in range(len(strings)) if i not in late), *sorted(late)):
        piece = strings[i]
        if piece and i not in ends and canonical.setdefault(piece, i) != i:
            found.append((i, canonical[piece]))
    return np.array(found, dtype=np.intp).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class TokenTable:
    """The byte strings of one vocabulary.

    Attributes:
        pieces: The bytes of every token id; empty for END and for silent ids.
        speakable: Per id, whether it can be a candidate: it has bytes, or it ends the answer. Shape (n,).
        silent_ids: The others: ids without bytes that do not end the answer. Shape (s,).
        end_ids: Ids pooled into END. Shape (e,).
        duplicate_ids: Ids with the same bytes as an id that comes before them. Shape (t,).
        canonical_ids: For each of `duplicate_ids` the one id that represents its bytes. Shape (t,).
    """

    pieces: ByteStrings
    speakable: NDArray[np.bool_]
    silent_ids: NDArray[np.intp]
    end_ids: NDArray[np.intp]
    duplicate_ids: NDArray[np.intp]
    canonical_ids: NDArray[np.intp]

    @classmethod
    def build(
        cls, pieces: Sequence[bytes], end_ids: Collection[int], fallback_ids: Collection[int] = ()
    ) -> TokenTable:
        """Sort out END, silent tokens and ids with equal bytes.

        Args:
            pieces: The bytes of every id, empty if a token has none.
            end_ids: Every end-of-generation id.
            fallback_ids: Byte-fallback ids; a normal token with the same bytes represents them.
        """
        strings = pieces if isinstance(pieces, ByteStrings) else ByteStrings.of(pieces)
        return cls.known(strings, end_ids, duplicates(pieces, end_ids, fallback_ids))

    @classmethod
    def known(
        cls, pieces: ByteStrings, end_ids: Collection[int], duplicate_pairs: NDArray[np.intp]
    ) -> TokenTable:
        """The same, where `duplicates` has been computed before."""
        ends = np.array(sorted(end_ids), dtype=np.intp)
        speakable = pieces.lengths > 0
        speakable[ends] = True
        silent = np.flatnonzero(~speakable)
        return cls(
            pieces.emptied(ends), speakable, silent, ends, duplicate_pairs[:, 0], duplicate_pairs[:, 1]
        )

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def ids(self) -> Mapping[bytes, int]:
        """The id of each candidate. Built when first read, since candidate lists do not need it."""
        usable = np.flatnonzero(self.speakable)
        usable = np.setdiff1d(
            usable, np.concatenate([self.duplicate_ids, self.end_ids[1:]]), assume_unique=True
        )
        return dict(zip(self.pieces.several(usable), usable.tolist(), strict=True))

    @cached_property
    def _in_order(self) -> tuple[list[bytes], NDArray[np.intp]]:
        """The candidates sorted as byte strings, and their ids."""
        pieces = sorted(self.ids)
        return pieces, np.fromiter((self.ids[piece] for piece in pieces), np.intp, len(pieces))

    def beginning_with(self, prefix: bytes) -> NDArray[np.intp]:
        """The ids of all candidates that begin with `prefix`, which is not empty."""
        pieces, ids = self._in_order
        first = bisect_left(pieces, prefix)
        return ids[first : bisect_right(pieces, prefix, first, key=lambda piece: piece[: len(prefix)])]

    @cached_property
    def ids_by_prefix(self) -> dict[TokenTable, Mapping[bytes, NDArray[np.intp]]]:
        """Results of `core.bridge.ids_by_prefix` for other vocabularies, cached because they take long."""
        return {}

    @cached_property
    def is_single(self) -> NDArray[np.bool_]:
        """Per id, whether its weight is that of a candidate: it has bytes, and no other id has the same."""
        single = self.speakable.copy()
        for shared in (self.duplicate_ids, self.canonical_ids, self.end_ids):
            single[shared] = False
        return single

    @cached_property
    def _shared_ids(self) -> NDArray[np.intp]:
        """Each of `canonical_ids` once, in order."""
        # they are few, and `np.unique` would import numpy.ma (15 ms) at every start
        return np.array(sorted(set(self.canonical_ids.tolist())), dtype=np.intp)

    @cached_property
    def joint_ids(self) -> NDArray[np.intp]:
        """The ids that represent several: each of `canonical_ids` once, and the first end."""
        return np.concatenate([self._shared_ids, self.end_ids[:1]])

    @cached_property
    def _joint_places(self) -> NDArray[np.intp]:
        """For each of `duplicate_ids` the place in `joint_ids` of the id that represents it."""
        return np.searchsorted(self._shared_ids, self.canonical_ids)

    @cached_property
    def _unspoken_ids(self) -> NDArray[np.intp]:
        """The ids that are no candidate, or another id's."""
        return np.concatenate([self.duplicate_ids, self.end_ids[1:], self.silent_ids])

    def joint_weights(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The weight of each candidate that several ids share, in the order of `joint_ids`."""
        joint = weights[self.joint_ids]
        np.add.at(joint, self._joint_places, weights[self.duplicate_ids])
        if len(self.end_ids):
            joint[-1] = weights[self.end_ids].sum()
        return joint

    def pool(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sum the weights of ids with equal bytes, and of all end ids, on one id each, in place.

        Silent ids get weight 0. The sum over speakable ids is unchanged.

        Returns:
            The same array.
        """
        joint = self.joint_weights(weights)
        weights[self._unspoken_ids] = 0
        weights[self.joint_ids] = joint
        return weights
