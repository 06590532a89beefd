"""One conversation's sequence in a context: which tokens the model should have read, and which it has.

Here: `TokenSequence`, bookkeeping without llama.cpp: a fixed prompt, then an answer kept in step with its
text.
Not here: the evaluation of the tokens (`engine.context`).
Source: design rules "Contexts" and "Results are repeatable": llama.cpp's logits depend on how many tokens are
evaluated at once, so a prompt is always read in the same prefill chunks, whatever was read before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

PREFILL_CHUNK = 128  # tokens of a prompt evaluated at once; larger ones are hardly faster on two cores
MIN_SHARED_PREFIX = 16  # tokens; fewer are not worth the call that copies them (not measured)


class Tokenizer(Protocol):
    """What a sequence needs of a vocabulary."""

    @property
    def pieces(self) -> Sequence[bytes]:
        """The bytes of every token."""
        ...

    def tokenize_following(self, text: str) -> list[int]:
        """Tokens of text that follows other text."""
        ...

    def is_boundary(self, text: bytes, at: int) -> bool:
        """Whether the tokens on both sides of `at` are independent of each other."""
        ...


@dataclass
class EvalCounter:
    """What llama.cpp has evaluated.

    Attributes:
        tokens: How many tokens.
        decode_s: Seconds that took; of a batch shared by sequences, each has the share of its tokens.
        prompt_s: Seconds spent on batches that read tokens of a prompt.
        evaluations: How many calls, by the number of threads they ran on.
    """

    tokens: int = 0
    decode_s: float = 0.0
    prompt_s: float = 0.0
    evaluations: Counter[int] = field(default_factory=Counter)


class TokenSequence:
    """The tokens of one prompt and the answer after it.

    Args:
        seq_id: Its number in the context.
        tokenizer: The model's.
        reuse_step: The prefix kept for the next prompt is a multiple of this many tokens. A sequence alone in
            its context keeps whole prefill chunks, so that its logits equal those of a fresh context. With
            several sequences, where the shapes of batches vary anyway, the whole common prefix is kept.
        prefill_chunk: How many tokens of a prompt are read at once.

    Attributes:
        ids: The tokens of the prompt, then of the answer.
        draft: Tokens that the answer may go on by. They are read after `ids`, as a guess.
        n_prompt: Number of `ids` that are the prompt; these never change while the answer grows.
        text: The bytes of the answer's ids.
        n_cached: Tokens in the KV cache.
        n_valid: How many of those, from the left, are still `ids` and then `draft`; the rest must be rewound.
        counter: What was evaluated in this sequence for the answer; each has a counter of its own.
    """

    def __init__(
        self,
        seq_id: int,
        tokenizer: Tokenizer,
        reuse_step: int = PREFILL_CHUNK,
        prefill_chunk: int = PREFILL_CHUNK,
    ) -> None:
        self.seq_id = seq_id
        self.ids: list[int] = []
        self.draft: list[int] = []
        self.n_prompt = 0
        self.text = b""
        self.n_cached = 0
        self.n_valid = 0
        self.counter = EvalCounter()
        self._tokenizer = tokenizer
        self._reuse_step = reuse_step
        self._prefill_chunk = prefill_chunk
        self._n_chunked = 0  # leading tokens that were, or will be, read in prefill chunks
        self._ends: list[int] = []  # where each answer token ends in `text`

    def begin(self, prompt_ids: list[int], *, continues: bool = False) -> None:
        """Start a new answer after this prompt.

        What the cache can share with it stays valid; if it is the prompt of the last answer, all.

        Args:
            prompt_ids: Its tokens.
            continues: Whether it continues the conversation of the last answer: then every token that both
                have is kept, not only whole prefill chunks.
        """
        self.drop_draft()
        if prompt_ids != self.ids[: self.n_prompt]:
            if continues:
                self.n_valid = common_prefix(self.ids[: self.n_valid], prompt_ids[:-1])
                self._n_chunked = min(self._n_chunked, self.n_valid)
            else:
                self.n_valid = self.shared_prompt(prompt_ids)
                self._n_chunked = len(prompt_ids)
        self.ids, self.n_prompt = list(prompt_ids), len(prompt_ids)
        self.n_valid = min(self.n_valid, self.n_prompt)
        self.text, self._ends = b"", []

    def take_over(self, other: TokenSequence) -> None:
        """Have the tokens of another sequence, whose memory was copied; what it evaluates counts there."""
        self.ids, self.draft, self.n_prompt = list(other.ids), list(other.draft), other.n_prompt
        self.text, self._ends = other.text, list(other._ends)
        self.n_cached, self.n_valid, self._n_chunked = other.n_cached, other.n_valid, other._n_chunked
        self.counter = other.counter

    def restart(self) -> None:
        """Start a new answer after the same prompt."""
        self.begin(self.ids[: self.n_prompt])

    def start_fresh(self, prompt_ids: list[int]) -> None:
        """Start an answer that does not depend on how a conversation here was read.

        The prompt of one that went on was read in other shapes than one read at once, so nothing of it stays.
        In a sequence alone in its context the bits are then those of a fresh one.
        """
        if self._n_chunked != self.n_prompt:
            self.n_valid = 0
            self._n_chunked = 0
            self.n_prompt = 0
        self.begin(prompt_ids)

    def shared_prompt(self, prompt_ids: Sequence[int]) -> int:
        """How many tokens of a prompt the cache holds, in whole grains.

        The last token of a prompt is read apart, so it is never among them.
        """
        read = min(self.n_valid, self._n_chunked - 1, len(prompt_ids) - 1)
        shared = common_prefix(self.ids[: max(0, read)], prompt_ids)
        return shared - shared % self._reuse_step

    @property
    def in_prompt(self) -> bool:
        """Whether a prefill chunk of the prompt is still to be read."""
        return self.n_valid < self.n_prompt - 1

    def will_share_with(self, other: TokenSequence) -> bool:
        """Whether `other` should wait for what this sequence reads next."""
        end = min(self.chunk_end, other.chunk_end)
        if not self.in_prompt or self.n_valid != other.n_valid:
            return False
        shared = common_prefix(self.ids[:end], other.ids[:end])
        return shared - shared % self._reuse_step - self.n_valid >= MIN_SHARED_PREFIX

    @property
    def chunk_end(self) -> int:
        """Where the next evaluation should end.

        A prompt is read prefill chunk by prefill chunk and its last token apart: that one is read again for
        another
        answer to the same prompt, and then its logits are the same to the last bit.
        """
        if self.n_valid >= self.n_prompt - 1:
            return self.n_tokens
        chunk = self._prefill_chunk
        return min(self.n_prompt - 1, (self.n_valid // chunk + 1) * chunk)

    @property
    def n_tokens(self) -> int:
        """How many tokens it has with its draft."""
        return len(self.ids) + len(self.draft)

    @property
    def n_unread(self) -> int:
        """How many tokens are still to be evaluated."""
        return self.n_tokens - self.n_valid

    def tokens(self, start: int, stop: int) -> list[int]:
        """The tokens from one position to another, those of the draft after those of the answer."""
        n = len(self.ids)
        if stop <= n:
            return self.ids[start:stop]
        return self.ids[start:] + self.draft[max(0, start - n) : stop - n]

    def draft_tokens(self, text: bytes) -> list[int]:
        """The tokens by which the answer most likely goes on if `text` follows it.

        Tokenized together with the end of the answer where that gives the tokens that are there, else alone.
        """
        at, kept = self._resume_point(self.text, len(self.text))
        tokens = self._tokenizer.tokenize_following((self.text[at:] + text).decode("utf-8", "ignore"))
        end = self.ids[self.n_prompt + kept :]
        if tokens[: len(end)] == end:
            return tokens[len(end) :]
        return self._tokenizer.tokenize_following(text.decode("utf-8", "ignore"))

    def shorten_draft(self, n: int) -> None:
        """Keep at most the first `n` tokens of the draft."""
        del self.draft[max(0, n) :]
        self.n_valid = min(self.n_valid, self.n_tokens)

    def drop_draft(self) -> None:
        """Forget the draft."""
        self.shorten_draft(0)

    def accept(self, token: int, piece: bytes) -> None:
        """Go on by a token that this model itself proposed."""
        if self.draft and self.draft[0] == token:
            del self.draft[0]
        else:
            self.drop_draft()
        self.ids.append(token)
        self.text += piece
        self._ends.append(len(self.text))

    def sync_text(self, text: bytes) -> None:
        """Change the answer to `text`, parts of which another model may have written.

        The text is tokenized again from the last safe boundary before the first difference. The longest
        common prefix of the old and new tokens is kept.

        Args:
            text: The whole answer so far, valid UTF-8.
        """
        if text == self.text:
            return
        at, kept = self._resume_point(text, common_prefix(self.text, text))
        tokens = self._tokenizer.tokenize_following(text[at:].decode("utf-8", "replace"))
        fixed = self.n_prompt + kept
        before = self.tokens(fixed, self.n_tokens)
        n_same = common_prefix(before, tokens)
        stays = n_same == len(tokens) and fixed + n_same >= len(self.ids)
        self.draft = before[n_same : max(n_same, self.n_valid - fixed)] if stays else []
        self.n_valid = min(self.n_valid, fixed + n_same + len(self.draft))
        self.ids, self.text = self.ids[:fixed] + tokens, text
        self._ends = self._ends[:kept] + self._ends_of(tokens, at)

    def begin_answer(self, text: bytes) -> None:
        """Begin the answer with a text; it is read with the prompt's last token, whatever was read before."""
        if text:
            self.drop_draft()
            self.n_valid = min(self.n_valid, max(0, self.n_prompt - 1))
            self.sync_text(text)

    def _resume_point(self, text: bytes, at: int) -> tuple[int, int]:
        """The last boundary at or before `at`: its offset, and the tokens of the answer before it."""
        while at > 0:
            kept = bisect_right(self._ends, at)
            on_edge = kept > 0 and self._ends[kept - 1] == at
            if on_edge and self._tokenizer.is_boundary(text, at):
                return at, kept
            at = text.rfind(b" ", 0, at)
        return 0, 0

    def _ends_of(self, tokens: list[int], start: int) -> list[int]:
        """Where each token ends; all at the end of the text if their bytes are not the text."""
        ends, at = [], start
        for token in tokens:
            at += len(self._tokenizer.pieces[token])
            ends.append(at)
        return ends if at == len(self.text) else [len(self.text)] * len(tokens)

    def freeze(self) -> None:
        """Make the answer part of the prompt: what follows is a new answer."""
        self.drop_draft()
        self.n_prompt, self.text, self._ends = len(self.ids), b"", []

    def extend_prompt(self, tokens: Sequence[int]) -> None:
        """Append tokens to the prompt, which no answer has followed yet."""
        self.drop_draft()
        self.ids.extend(tokens)
        self.n_prompt = len(self.ids)

    def shrink_to(self, n: int) -> None:
        """Note that the cache now holds `n` tokens, all valid."""
        self.n_cached = self.n_valid = n


def common_prefix(left: Sequence[object], right: Sequence[object]) -> int:
    """How many items (tokens, bytes or characters) both begin with."""
    if left == right[: len(left)]:
        return len(left)
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(left), len(right)))
