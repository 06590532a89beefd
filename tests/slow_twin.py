"""The slow twin of an answer: llama.cpp reads everything anew before every prediction, told by text.

It shares with the fast way the rule of an answer (`decode.respond`) and the mathematics on logits. Tokens,
what stays of them, and their evaluation are its own, written after the design's rule "Contexts" with the
functions of llama.cpp: no lane, no seat, no rewinding.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from blendin_local.core.distribution import Prediction
from blendin_local.core.prompts import Message
from blendin_local.decode.respond import Question, respond
from blendin_local.engine.library import library, set_fields
from blendin_local.settings import SamplingSettings

TOP_K = 100
LONGEST = 512


@cache
def bytes_before_spaces(pieces):
    """The last bytes of words in tokens that go on after a space."""
    inside = ((piece, i) for piece in pieces for i in range(1, len(piece)) if piece[i] == 0x20)
    return {piece[i - 1] for piece, i in inside} - {0x20}


class Reader:
    """One role: its prompt's tokens, and the answer's tokens with their bytes."""

    def __init__(self, player, prompt):
        self.api = library().api
        self.model, vocabulary = player.model.handle, player.model.vocabulary
        self.vocab = self.api.llama_model_get_vocab(self.model)
        self.pieces, self.handle = vocabulary.pieces, self.open(player.settings)
        self.table, self.spanned = player.table, bytes_before_spaces(self.pieces)
        self.prompt = [token for span in prompt for token in self.tokenize(span.text, special=span.trusted)]
        bos = self.api.llama_vocab_bos(self.vocab)
        if self.api.llama_vocab_get_add_bos(self.vocab) and self.prompt[:1] != [bos]:
            self.prompt.insert(0, bos)
        self.answer = []
        self.proposed = self.proposed_after = None

    def open(self, settings):
        parameters = self.api.llama_context_default_params()
        set_fields(
            parameters,
            **dict.fromkeys(("n_ctx", "n_batch", "n_ubatch"), LONGEST),
            **dict.fromkeys(("n_threads", "n_threads_batch"), 1),
            **dict.fromkeys(("type_k", "type_v"), 0 if settings.kv_type == "f32" else 1),
            flash_attn_type=-1 if settings.flash_attention == "auto" else 0,
            n_outputs_max=1,
        )
        return self.api.llama_init_from_model(self.model, parameters)

    def tokenize(self, text, *, special=False):
        data = text.encode()
        room = (self.api.llama_token * (len(data) + 16))()
        n = self.api.llama_tokenize(self.vocab, data, len(data), room, len(room), False, special)
        assert n >= 0
        return list(room[:n])

    @property
    def text(self):
        return b"".join(self.pieces[token] for token in self.answer)

    def follow(self, text):
        """Keep the token that this model proposed, where the text goes on by it."""
        if self.proposed is None or self.proposed_after != self.text or not text.startswith(self.text):
            return
        piece = text[len(self.text) :]
        token = self.proposed.id_of(piece) if piece else None
        if token is not None:
            self.answer.append(token)

    def come_to(self, text):
        """Tokens up to the last one that ends at a safe place stay; what follows is tokenized."""
        self.follow(text)
        if self.text == text:
            return
        while self.answer and not self.is_safe(text):
            self.answer.pop()
        self.answer += self.tokenize(text[len(self.text) :].decode(errors="replace"))

    def is_safe(self, text):
        """Whether a run of spaces follows here into which no token reaches."""
        before = self.text
        last = before[-4:].decode(errors="ignore")[-1:]
        follows = text.startswith(before) and text[len(before) : len(before) + 1] == b" "
        return follows and last.strip() not in {"", "\u2581"} and before[-1] not in self.spanned

    def predict(self, text):
        self.come_to(text)
        ids = [*self.prompt, *self.answer]
        tokens = (self.api.llama_token * len(ids))(*ids)
        self.api.llama_memory_clear(self.api.llama_get_memory(self.handle), True)
        assert self.api.llama_decode(self.handle, self.api.llama_batch_get_one(tokens, len(ids))) == 0
        row = np.ctypeslib.as_array(self.api.llama_get_logits_ith(self.handle, -1), (len(self.pieces),))
        self.proposed, self.proposed_after = Prediction(row.copy(), self.table, TOP_K), self.text
        return self.proposed


def slow_twin(pair, prompt, blend, answer):
    """All steps of the same answer, the decision for END among them, as `near_ties.whole` gives them."""
    roles = tuple(pair._models)
    spans = pair._renderer.prompts([Message("user", prompt)], roles)
    readers = {role: Reader(pair._models[role], spans[role]) for role in roles}
    limits = pair.stream(prompt, blend=blend, answer=answer).settings.answer
    running = respond(blend, SamplingSettings(), limits)
    steps, text = [], b""
    try:
        exchange = next(running)
        while True:
            if isinstance(exchange, Question):
                exchange = running.send(readers[exchange.role].predict(exchange.text))
                continue
            steps.append(exchange)
            text += exchange.bytes
            for reader in readers.values():
                reader.follow(text)
            exchange = running.send(None)
    except StopIteration as finished:
        return (*steps, *([finished.value.end] if finished.value.end else []))
    finally:
        for reader in readers.values():
            reader.api.llama_free(reader.handle)
