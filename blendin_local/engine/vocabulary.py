"""One model's vocabulary: the bytes of its tokens, and text into tokens.

Here: `Vocabulary`: what its tokens mean; tokenization of prompts and of text that continues.
Not here: how vocabularies of two models meet (`core.candidates`), what llama.cpp says of each token
(`engine.vocabulary_tables`), KV caches (`engine.context`).
Source: llama.cpp's tokenizer API; `llama_detokenize` alters text and is never used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from blendin_local.core.byte_strings import ByteStrings
from blendin_local.core.candidates import TokenTable
from blendin_local.engine.control_strings import ControlStrings, is_markup
from blendin_local.engine.library import library
from blendin_local.engine.vocabulary_cache import VocabularyEntry
from blendin_local.engine.vocabulary_tables import BYTE_ATTRIBUTE, TokenReader, read_tables
from blendin_local.errors import LoadError

CONTROL_ATTRIBUTES = 1 << 0 | 1 << 3  # LLAMA_TOKEN_ATTR_UNKNOWN | CONTROL
USER_DEFINED_ATTRIBUTE = 1 << 4
SPM_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # a SentencePiece vocabulary reads this character as a space


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of prompt text; in a `trusted` one control strings become control tokens."""

    text: str
    trusted: bool


def joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The same text and trust in as few spans as can be, so that equal prompts are equal values."""
    found: list[Span] = []
    for span in spans:
        if found and found[-1].trusted == span.trusted:
            found[-1] = Span(found[-1].text + span.text, span.trusted)
        elif span.text:
            found.append(span)
    return tuple(found)


class Vocabulary:
    """The tokens of one loaded model.

    Args:
        model: The model's handle, which must outlive this object.
        entry: Where the tables of its tokens are kept; None to read them from llama.cpp.
    """

    def __init__(self, model: Any, entry: VocabularyEntry | None = None) -> None:
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
        reader = TokenReader(self._api, self._vocab)
        read = read_tables if entry is None else entry.tables
        self._tables = read(reader, self.n_tokens)
        self.pieces: Sequence[bytes] = self._tables.pieces
        self.end_ids = frozenset(self._tables.end_ids.tolist())
        self._adds_space = b"".join(self.pieces[i] for i in self._tokenize("a")) == b" a"

    @property
    def token_table(self) -> TokenTable:
        """The tokens as candidates."""
        return self._tables.token_table

    def literal(self, token: int) -> str:
        """A token's own string, control tokens included; empty for id -1 (the model has no such token)."""
        if not 0 <= token < self.n_tokens:
            return ""
        text: bytes = self._api.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", "replace")

    @cached_property
    def fallback_ids(self) -> frozenset[int]:
        """Byte-fallback tokens (`<0x0A>`)."""
        return frozenset(self._tables.ids_with(BYTE_ATTRIBUTE))

    @cached_property
    def controls(self) -> ControlStrings:
        """The strings of `control_strings`, to be found in texts."""
        return ControlStrings(self.control_strings)

    @cached_property
    def control_strings(self) -> tuple[str, ...]:
        """Strings that text of users may not turn into the tokens they name, longest first.

        Control and end tokens, and of those that the vocabulary's makers added the ones that look like
        markup: llama.cpp recognises added tokens even in plain text.
        """
        ids = self._tables.ids_with(CONTROL_ATTRIBUTES)
        texts = {text for i in (*ids, *self.end_ids, *self.markup_ids) if (text := self.literal(i))}
        return tuple(sorted(texts, key=lambda text: (-len(text), text)))

    @property
    def end_tokens(self) -> tuple[str, ...]:
        """The text of every token that ends an answer, sorted: declared ones, and those llama.cpp knows."""
        return tuple(sorted({self.literal(i) for i in self.end_ids}))

    @cached_property
    def markup_ids(self) -> frozenset[int]:
        """Tokens added by the vocabulary's makers that look like markup (`<tool_call>`)."""
        added = self._tables.ids_with(USER_DEFINED_ATTRIBUTE)
        return frozenset(i for i in added if is_markup(self.literal(i)))

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
        return self._tokens_of(spans, self._following)

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

        Tokens that a vocabulary's makers added are recognised even in plain text, and in a few vocabularies
        end tokens too. Cut after its first character, a string is no longer that token, so neither part can
        become it.
        """
        ids = tokenize(text)
        if (
            self.end_ids.isdisjoint(ids)
            and self.markup_ids.isdisjoint(ids)
            and all(map(self.pieces.__getitem__, ids))
        ):
            return ids
        cuts = [0, *(start + 1 for start in self.controls.starts(text)), len(text)]
        parts = [text[start:end] for start, end in pairwise(cuts) if start < end]
        return tokenize(parts[0]) + [i for part in parts[1:] for i in self._following(part)]

    def tokenize_following(self, text: str) -> list[int]:
        """Tokens of text that follows other text; what spells a control token stays text."""
        return self._literal(text, self._following)

    def _following(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Tokens of text after other text.

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

    @cached_property
    def _before_inner_spaces(self) -> frozenset[int]:
        """Bytes that some token has just before a space inside it: no safe boundary follows these."""
        pieces, controls = self._tables.pieces, ByteStrings.of(text.encode() for text in self.control_strings)
        return pieces.before_inner(0x20) | controls.before_inner(0x20)

    def is_boundary(self, text: bytes, at: int) -> bool:
        """Whether tokens before and after `at` never depend on each other.

        True at the first space of a whitespace run: pre-tokenizers end a match there, and no token of this
        vocabulary reaches across, so each side tokenizes on its own as it does in the whole.
        """
        if not 0 < at < len(text) or text[at] != 0x20 or text[at - 1] in self._before_inner_spaces:
            return at == 0
        before = text[max(0, at - 4) : at].decode("utf-8", "ignore")[-1:]
        return bool(before) and not before.isspace() and before != SPM_SPACE
