"""What llama.cpp knows of every token of a vocabulary, as arrays.

Here: `VocabularyTables`; `read_tables`, which asks llama.cpp about each token, and `agrees`, about a few.
Not here: tokenization (`engine.vocabulary`), the file that keeps tables (`engine.vocabulary_cache`).
Source: llama.h. Four calls for each of 262,144 tokens take most of a second.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.byte_strings import ByteStrings
from blendin_local.core.candidates import TokenTable, duplicates

BYTE_ATTRIBUTE = 1 << 5  # LLAMA_TOKEN_ATTR_BYTE
PIECE_BYTES = 1024  # enough for nearly every token
CHECKED = 64  # tokens of kept tables that are compared with the model's


@dataclass(frozen=True, eq=False)
class VocabularyTables:
    """Every token of a vocabulary.

    Attributes:
        pieces: The bytes of each token; empty for control tokens.
        attributes: llama.cpp's `llama_token_attr` of each. Shape (n,).
        end_ids: Ids that end a generation, ascending. Shape (e,).
        duplicates: As `core.candidates.duplicates` returns them. Shape (t, 2).
    """

    pieces: ByteStrings
    attributes: NDArray[np.uint32]
    end_ids: NDArray[np.intp]
    duplicates: NDArray[np.intp]

    @cached_property
    def token_table(self) -> TokenTable:
        """The tokens as candidates."""
        return TokenTable.known(self.pieces, self.end_ids.tolist(), self.duplicates)

    def ids_with(self, attributes: int) -> list[int]:
        """The tokens that have one of these attributes, ascending."""
        ids: list[int] = np.flatnonzero(self.attributes & attributes).tolist()
        return ids


class TokenReader:
    """llama.cpp's answers about single tokens.

    Args:
        api: The bindings.
        vocab: A vocabulary's handle.
    """

    def __init__(self, api: Any, vocab: Any) -> None:
        self._api, self._vocab = api, vocab
        self._buffer = ctypes.create_string_buffer(PIECE_BYTES)

    def pieces(self, ids: Iterable[int]) -> list[bytes]:
        """The bytes of tokens, without those of control tokens."""
        buffer, read, vocab = self._buffer, self._api.llama_token_to_piece, self._vocab
        found = []
        for i in ids:
            size = read(vocab, i, buffer, PIECE_BYTES, 0, False)
            found.append(buffer.raw[:size] if size >= 0 else self._long_piece(i, -size))
        return found

    def _long_piece(self, token: int, size: int) -> bytes:
        buffer = ctypes.create_string_buffer(size)
        self._api.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
        return buffer.raw[:size]

    def attributes(self, ids: Iterable[int]) -> list[int]:
        """llama.cpp's attributes of tokens."""
        return [self._api.llama_vocab_get_attr(self._vocab, i) for i in ids]

    def ends(self, ids: Iterable[int]) -> list[int]:
        """Which of the tokens end a generation."""
        return [i for i in ids if self._api.llama_vocab_is_eog(self._vocab, i)]


def read_tables(reader: TokenReader, n_tokens: int) -> VocabularyTables:
    """Ask llama.cpp about every token."""
    ids = range(n_tokens)
    pieces, ends = reader.pieces(ids), reader.ends(ids)
    attributes = np.array(reader.attributes(ids), dtype=np.uint32)
    fallback_ids = np.flatnonzero(attributes & BYTE_ATTRIBUTE).tolist()
    return VocabularyTables(
        ByteStrings.of(pieces),
        attributes,
        np.array(ends, dtype=np.intp),
        duplicates(pieces, ends, fallback_ids),
    )


def agrees(tables: VocabularyTables, reader: TokenReader, n_tokens: int) -> bool:
    """Whether tables fit a vocabulary, judged by its length, its ends and some evenly spread tokens."""
    if len(tables.pieces) != n_tokens:
        return False
    ends = tables.end_ids.tolist()
    ids = sorted({*ends, *range(0, n_tokens, max(1, n_tokens // CHECKED))})
    return (
        tables.pieces.several(ids) == reader.pieces(ids)
        and tables.attributes[ids].tolist() == reader.attributes(ids)
        and ends == reader.ends(ids)
    )
