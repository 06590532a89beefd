"""The tokens of several vocabularies as one, by their bytes.

Here: `GrammarVocabulary`, the one vocabulary that llguidance computes legal tokens for, and where the tokens
of each model are in it.
Not here: which of them are legal (`grammar.matcher`).
Source: llguidance's `TokenizerWrapper`; special tokens begin with the byte 0xFF, which no text contains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llguidance import LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from blendin_local.core.candidates import TokenTable

SINGLE_BYTES = 255  # ids 0 to 254 are the single bytes, with which any text can be consumed
NEVER = 255  # stands for all that is no text: silent tokens, and those that begin with the byte 0xFF
_NO_TEXT = b"\xff"


class GrammarVocabulary:
    """Every distinct byte string of some vocabularies, the single bytes, and END.

    Args:
        tables: The vocabularies; none for single bytes and END only, which takes no memory to speak of.

    Attributes:
        tokenizer: What a matcher is made with.
        end_id: The id of END.
    """

    def __init__(self, tables: Sequence[TokenTable] = ()) -> None:
        ids = {bytes([byte]): byte for byte in range(SINGLE_BYTES)}
        ids[b"\xff<never>"] = NEVER
        self._ids_of = [(table, self._add(table, ids)) for table in tables]
        self.end_id = len(ids)
        for table, ids_of in self._ids_of:
            ids_of[table.end_ids] = self.end_id
        self.tokenizer = LLTokenizer(TokenizerWrapper(_Tokens([*ids, b"\xff<end>"])))

    @staticmethod
    def _add(table: TokenTable, ids: dict[bytes, int]) -> NDArray[np.intp]:
        """The id of every token of a vocabulary; new strings get the next ids."""
        ids_of = np.full(len(table), NEVER, dtype=np.intp)
        for i, piece in enumerate(table.pieces):
            if piece and not piece.startswith(_NO_TEXT):
                ids_of[i] = ids.setdefault(piece, len(ids))
        return ids_of

    def __len__(self) -> int:
        return self.end_id + 1

    def ids_of(self, table: TokenTable) -> NDArray[np.intp] | None:
        """The id here of every token of `table`, `NEVER` for one without text; None if it is not included."""
        return next((ids for known, ids in self._ids_of if known is table), None)


class _Tokens:
    """A vocabulary as llguidance reads it; text is consumed byte by byte."""

    bos_token_id = None

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self.tokens = tokens
        self.eos_token_id = len(tokens) - 1
        self.special_token_ids = [NEVER, self.eos_token_id]

    def __call__(self, text: bytes) -> list[int]:
        return list(text)
