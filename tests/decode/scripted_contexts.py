"""Models without weights whose logits depend on the text alone, behind real role contexts."""

from __future__ import annotations

import zlib

import numpy as np

from blendin_local.core.candidates import TokenTable
from blendin_local.core.constraint import UNCONSTRAINED
from blendin_local.core.distribution import Prediction
from blendin_local.decode.respond import Question
from blendin_local.decode.role_context import RoleContext
from blendin_local.engine.context import StoppedError
from blendin_local.engine.sequence import EvalCounter, TokenSequence
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import ContextFullError

EMOJI = "😊".encode()
BASE_PIECES = [
    b"<end>",
    b" the",
    b" a",
    b" cat",
    b"s",
    b" sat",
    b"at",
    b".",
    b"\n",
    b" ",
    EMOJI[:2],
    EMOJI[2:],
]
GUIDE_PIECES = [
    b" th",
    b"e",
    b" ca",
    b"t",
    b"ts",
    b"<end>",
    b" sat.",
    b" \n",
    b"a",
    b"\xf0",
    b"\x9f\x98",
    b"\x8a",
]
BYTES = [bytes([i]) for i in range(256)]


class ScriptedVocabulary:
    """Longest match first, with all bytes to fall back on."""

    def __init__(self, pieces):
        self.pieces = (*pieces, *BYTES)
        self.end_ids = frozenset([pieces.index(b"<end>")])
        self.table = TokenTable.build(self.pieces, self.end_ids)

    def tokenize_following(self, text):
        data, ids = text.encode(), []
        while data:
            fits = (i for i, p in enumerate(self.pieces) if data.startswith(p) and i not in self.end_ids)
            ids.append(max(fits, key=lambda i: len(self.pieces[i])))
            data = data[len(self.pieces[ids[-1]]) :]
        return ids

    def tokenize_prompt(self, spans):
        return [999, *self.tokenize_following("".join(span.text for span in spans))]

    def is_boundary(self, text, at):
        return at == 0 or (
            0 < at < len(text) and text[at : at + 1] == b" " and not text[:at].endswith((b" ", b"."))
        )

    def logits_after(self, text, seed):
        """A distribution that is a function of the text alone."""
        rng = np.random.default_rng([zlib.crc32(text), seed])
        logits = rng.normal(size=len(self.pieces)) * 2.2
        logits[-len(BYTES) :] -= 6
        logits[list(self.end_ids)] -= 5
        return logits.astype(np.float32)


class ScriptedContext:
    """A context whose logits depend on the bytes of the answer tokens a sequence holds."""

    def __init__(self, vocabulary, seed, size=10_000):
        self.model = type("Model", (), {"vocabulary": vocabulary})
        self.vocabulary, self.seed, self.ctx_size = vocabulary, seed, size
        self.counter = EvalCounter()

    def require_room(self, sequence):
        if len(sequence.ids) > self.ctx_size:
            raise ContextFullError(n_prompt=len(sequence.ids), n_ctx=self.ctx_size)

    def advance(self, sequences, should_stop=lambda: False):
        if should_stop():
            raise StoppedError
        rows = {}
        for sequence in sequences:
            self.counter.tokens += len(sequence.ids) - min(sequence.n_valid, len(sequence.ids) - 1)
            sequence.shrink_to(len(sequence.ids))
            text = b"".join(self.vocabulary.pieces[i] for i in sequence.ids[sequence.n_prompt :])
            rows[sequence] = [self.vocabulary.logits_after(text, self.seed)]
        return rows


def role_contexts(seed, size=10_000):
    made = {}
    for role, pieces, own in (("base", BASE_PIECES, 2 * seed), ("guide", GUIDE_PIECES, 2 * seed + 1)):
        vocabulary = ScriptedVocabulary(pieces)
        context = ScriptedContext(vocabulary, own, size)
        made[role] = RoleContext(context, TokenSequence(0, vocabulary), vocabulary.table)
        made[role].begin([Span("Question", trusted=False)], 100)
    return made


def finish(running):
    steps = []
    while True:
        try:
            steps.append(next(running))
        except StopIteration as finished:
            return steps, finished.value


def without_a_cache(answer, made, constraint=UNCONSTRAINED):
    """The slow twin: every question is answered from the text alone."""
    steps, exchange = [], next(answer)
    while True:
        try:
            if isinstance(exchange, Question):
                context = made[exchange.role].context
                logits = context.vocabulary.logits_after(exchange.text, context.seed)
                prediction = Prediction(logits, context.vocabulary.table, 100)
                exchange = answer.send(constraint.condition(prediction, exchange.text))
            else:
                steps.append(exchange)
                exchange = answer.send(None)
        except StopIteration as finished:
            return steps, finished.value
