"""One model's vocabulary: the bytes of its tokens, and text into tokens.

Here: `Vocabulary`, with every piece cached once; tokenization of prompts and of text that continues.
Not here: how vocabularies of two models meet (`core.candidates`), KV caches (`engine.context`).
Source: llama.cpp's tokenizer API; `llama_detokenize` alters text and is never used.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from blendin_local.engine.library import library
from blendin_local.errors import LoadError

CONTROL_ATTRIBUTES = 1 << 0 | 1 << 3  # LLAMA_TOKEN_ATTR_UNKNOWN | CONTROL
BYTE_ATTRIBUTE = 1 << 5
SPM_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # a SentencePiece vocabulary reads this character as a space


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of prompt text; in a `trusted` one control strings become control tokens."""

    text: str
    trusted: bool


class Vocabulary:
    """The tokens of one loaded model.

    Args:
        model: The model's handle, which must outlive this object.
    """

    def __init__(self, model: Any) -> None:
        self._api = library().api
        self._vocab = self._api.llama_model_get_vocab(model)
        self.n_tokens: int = self._api.llama_vocab_n_tokens(self._vocab)
        if self._api.llama_vocab_type(self._vocab) not in {1, 2}:
            raise LoadError(
                "the model's vocabulary is neither SentencePiece nor byte-level BPE",
                "only these give every text back byte for byte",
            )
        self.adds_bos = bool(self._api.llama_vocab_get_add_bos(self._vocab))
        self.bos_id: int = self._api.llama_vocab_bos(self._vocab)
        self.eos_id: int = self._api.llama_vocab_eos(self._vocab)
        self.pieces: tuple[bytes, ...] = self._read_pieces(special=False)
        self.end_ids = frozenset(
            i for i in range(self.n_tokens) if self._api.llama_vocab_is_eog(self._vocab, i)
        )
        self._before_inner_spaces = self._bytes_before_inner_spaces()
        self._adds_space = b"".join(self.pieces[i] for i in self._tokenize("a")) == b" a"

    def _read_pieces(self, *, special: bool) -> tuple[bytes, ...]:
        buffer = ctypes.create_string_buffer(1024)
        read, vocab = self._api.llama_token_to_piece, self._vocab
        pieces = []
        for i in range(self.n_tokens):
            size = read(vocab, i, buffer, 1024, 0, special)
            pieces.append(buffer.raw[:size] if size >= 0 else self._long_piece(i, -size, special=special))
        return tuple(pieces)

    def _long_piece(self, token: int, size: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(size)
        self._api.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
        return buffer.raw[:size]

    def literal(self, token: int) -> str:
        """A token's own string, control tokens included; empty for id -1 (the model has no such token)."""
        if not 0 <= token < self.n_tokens:
            return ""
        text: bytes = self._api.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", "replace")

    @cached_property
    def fallback_ids(self) -> frozenset[int]:
        """Byte-fallback tokens (`<0x0A>`)."""
        return frozenset(i for i in range(self.n_tokens) if self._attributes(i) & BYTE_ATTRIBUTE)

    @cached_property
    def control_strings(self) -> tuple[str, ...]:
        """Strings that would become control tokens where a prompt is parsed for them, longest first."""
        ids = (
            i for i in range(self.n_tokens) if self._attributes(i) & CONTROL_ATTRIBUTES or i in self.end_ids
        )
        return tuple(sorted({text for i in ids if (text := self.literal(i))}, key=len, reverse=True))

    def _attributes(self, token: int) -> int:
        attributes: int = self._api.llama_vocab_get_attr(self._vocab, token)
        return attributes

    def _tokenize(self, text: str, *, parse_special: bool = False) -> list[int]:
        data = text.encode()
        size = len(data) + 16
        while True:
            tokens = (self._api.llama_token * size)()
            n = self._api.llama_tokenize(self._vocab, data, len(data), tokens, size, False, parse_special)
            if n >= 0:
                return list(tokens[:n])
            size = -n

    def tokenize_prompt(self, spans: Sequence[Span]) -> list[int]:
        """Tokens of a prompt, at most one BOS before them (the template itself may have written it)."""
        ids = self._tokens_of(spans[:1], self._tokenize) + self.tokenize_more(spans[1:])
        if self.adds_bos and self.bos_id >= 0 and ids[:1] != [self.bos_id]:
            ids.insert(0, self.bos_id)
        return ids

    def tokenize_more(self, spans: Sequence[Span]) -> list[int]:
        """Tokens of what follows in a prompt."""
        return self._tokens_of(spans, self.tokenize_following)

    def _tokens_of(self, spans: Sequence[Span], tokenize: Callable[..., list[int]]) -> list[int]:
        ids: list[int] = []
        for span in spans:
            if span.trusted:
                ids += tokenize(span.text, parse_special=True)
            else:
                ids += self._literal(span.text, tokenize)
        return ids

    def _literal(self, text: str, tokenize: Callable[..., list[int]]) -> list[int]:
        """Tokens of text that must stay text, though it may spell a control token.

        A few vocabularies recognise such strings even in plain text. Cut after its first character, a
        string is no longer that token, so neither part can become it.
        """
        ids = tokenize(text)
        if self.end_ids.isdisjoint(ids) and all(self.pieces[i] for i in ids):
            return ids
        controls = "|".join(re.escape(control) for control in self.control_strings)
        parts = [part for part in re.split(f"(?<=(?={controls}).)", text, flags=re.DOTALL) if part]
        return tokenize(parts[0]) + [i for part in parts[1:] for i in self.tokenize_following(part)]

    def tokenize_following(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Tokens of text that follows other text.

        Older SentencePiece models put a space before every text they tokenize; here it is kept out.
        """
        if not self._adds_space:
            return self._tokenize(text, parse_special=parse_special)
        if text.startswith(" ") and len(text) > 1:
            return self._tokenize(text[1:], parse_special=parse_special)
        ids = self._tokenize("\n" + text, parse_special=parse_special)
        size = 0
        for i, token in enumerate(ids):  # leave out the tokens of " \n"
            size += len(self.pieces[token])
            if size == 2:
                return ids[i + 1 :]
        return self._tokenize(text, parse_special=parse_special)

    def _bytes_before_inner_spaces(self) -> frozenset[int]:
        """Bytes that some token has just before a space inside it: no safe boundary follows these."""
        inner = (piece for piece in self.pieces if b" " in piece[1:])
        return frozenset(
            piece[i - 1] for piece in inner for i in range(1, len(piece)) if piece[i] == 0x20 != piece[i - 1]
        )

    def is_boundary(self, text: bytes, at: int) -> bool:
        """Whether tokens before and after `at` never depend on each other.

        True at the first space of a whitespace run: pre-tokenizers end a match there, and no token of this
        vocabulary reaches across, so each side tokenizes on its own as it does in the whole.
        """
        if not 0 < at < len(text) or text[at] != 0x20 or text[at - 1] in self._before_inner_spaces:
            return at == 0
        before = text[max(0, at - 4) : at].decode("utf-8", "ignore")[-1:]
        return bool(before) and not before.isspace() and before != SPM_SPACE
