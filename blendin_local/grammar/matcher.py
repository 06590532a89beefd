"""Which texts have the prescribed form, and how one of them may go on.

Here: `GrammarConstraint`, a `Constraint` that llguidance decides.
Not here: the vocabulary (`grammar.vocabulary`), what users write (`grammar.definition`).
Source: llguidance, whose matchers never raise: they turn into an error state, which is asked for here.
"""

from __future__ import annotations

from threading import Lock

import numpy as np
from llguidance import LLMatcher
from numpy.typing import NDArray

from blendin_local.core.candidates import TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.core.text import split_characters
from blendin_local.errors import PairError, UsageError
from blendin_local.grammar.trial import LIMITS
from blendin_local.grammar.vocabulary import NEVER, GrammarVocabulary

FORCED_PER_STEP = 4096  # bytes; what a grammar forces beyond that is the next step
CHECKED = 1000  # likeliest tokens of a vocabulary that is not part of the grammar's


class GrammarConstraint:
    """A form that an answer must have.

    It keeps its place in one text, and goes back and forth between texts with a common beginning; so one
    object is for one answer. Threads may share it.

    Args:
        vocabulary: That of the models, or of single bytes only.
        grammar: As llguidance writes it (`grammar.compilation.compile_definition`).

    Raises:
        UsageError: The grammar is wrong or too large.
    """

    def __init__(self, vocabulary: GrammarVocabulary, grammar: str) -> None:
        self._vocabulary = vocabulary
        self._matcher = LLMatcher(vocabulary.tokenizer, grammar, log_level=0, limits=LIMITS)
        if self._matcher.is_error():
            raise UsageError(
                f"the grammar cannot be used: {_first_line(self._matcher.get_error())}", "simplify it"
            )
        self._text = b""
        self._lock = Lock()
        self._bits = np.zeros((len(vocabulary) + 31) // 32, np.uint32)

    def accepts(self, text: bytes) -> bool:
        """Whether an answer may begin with `text`."""
        with self._lock:
            return self._go_to(text)

    def forced(self, text: bytes) -> bytes:
        """How `text` must go on, as far as there is one way only, in whole characters; often empty."""
        with self._lock:
            if not self._go_to(text):
                return b""
            return split_characters(self._forced()[:FORCED_PER_STEP])[0]

    def must_end(self, text: bytes) -> bool:
        """Whether `text` is complete and nothing may follow."""
        with self._lock:
            return self._go_to(text) and self._matcher.is_stopped() and self._matcher.is_accepting()

    def is_complete(self, text: bytes) -> bool:
        """Whether the answer may end after `text`."""
        with self._lock:
            return self._go_to(text) and self._matcher.is_accepting()

    def condition(self, prediction: Prediction, text: bytes) -> Prediction:
        """What a model predicts after `text`, on condition that its next token is a legal one.

        After a text that no answer can have, which only a wrong guess leads to, the prediction as it is.

        Raises:
            PairError: The model has no token for anything that is legal.
        """
        with self._lock:
            if not self._go_to(text):
                return prediction
            ids = self._vocabulary.ids_of(prediction.table)
            if forced := self._forced():
                legal = self._legal_where_forced(forced, prediction.table)
            elif ids is None:
                legal = self._legal_likeliest(prediction)
            else:
                legal = self._legal()[ids]
        if not legal.any():
            raise PairError(
                f"a model has no token with which the answer may go on after {len(text)} bytes",
                "its vocabulary lacks the characters that the form asks for: change the form",
            )
        return prediction.among(legal)

    def _go_to(self, text: bytes) -> bool:
        """Bring the matcher to the end of `text`; False where no answer begins so."""
        if not text.startswith(self._text):
            kept = _common_length(self._text, text)
            if not self._matcher.rollback(len(self._text) - kept):
                self._matcher.reset()
                kept = 0
            self._text = text[:kept]
        rest = text[len(self._text) :]
        if rest:
            consumed = self._matcher.try_consume_tokens(list(rest))
            self._text += rest[:consumed]
        self._check()
        return len(self._text) == len(text)

    def _forced(self) -> bytes:
        """How the text must go on, which may end inside a character."""
        forced = self._matcher.compute_ff_bytes()
        self._check()
        return forced

    def _fits(self, piece: bytes) -> bool:
        return bool(piece) and self._matcher.validate_tokens(list(piece)) == len(piece)

    def _legal_where_forced(self, forced: bytes, table: TokenTable) -> NDArray[np.bool_]:
        """Of every token, whether it may come next: a beginning of the forced text, or one that goes on.

        llguidance's own mask allows here only the token with which its tokenizer would write the text.
        """
        legal = np.zeros(len(table), np.bool_)
        beginnings = (forced[:n] for n in range(1, len(forced)))
        legal[[table.ids[piece] for piece in beginnings if piece in table.ids]] = True
        legal[[i for i in table.beginning_with(forced).tolist() if self._fits(table.pieces[i])]] = True
        return legal

    def _legal(self) -> NDArray[np.bool_]:
        """Of every string of the vocabulary, whether it may come next. Shape (len(vocabulary),)."""
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._check()
        legal = np.unpackbits(self._bits.view(np.uint8), count=len(self._vocabulary), bitorder="little")
        legal[NEVER] = 0
        return legal.view(np.bool_)

    def _legal_likeliest(self, prediction: Prediction) -> NDArray[np.bool_]:
        """Of every token of another vocabulary whether it may come next, if it is likely or a single byte."""
        table, single = prediction.table, self._legal()
        legal = np.zeros(len(table), np.bool_)
        for i in prediction.likeliest_ids(CHECKED).tolist():
            legal[i] = self._fits(table.pieces[i])
        for byte in np.flatnonzero(single[:NEVER]).tolist():
            if (i := table.ids.get(bytes([byte]))) is not None:
                legal[i] = True
        legal[table.end_ids] = single[self._vocabulary.end_id]
        return legal

    def _check(self) -> None:
        if self._matcher.is_error():
            raise PairError(
                f"the form of the answer became too hard to follow: {_first_line(self._matcher.get_error())}",
                "simplify the schema, expression or grammar",
            )


def _common_length(a: bytes, b: bytes) -> int:
    """How many bytes two texts begin with in common."""
    n = min(len(a), len(b))
    different = np.frombuffer(a[:n], np.uint8) != np.frombuffer(b[:n], np.uint8)
    return int(different.argmax()) if different.any() else n


def _first_line(message: str) -> str:
    return message.strip().splitlines()[0] if message.strip() else "no reason was given"
