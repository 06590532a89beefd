"""Scripted models: distributions written by hand, for what real models rarely do.

`ScriptedRole` plays one role of `respond` without llama.cpp; `converse` is a driver over such roles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from blendin_local.core.candidates import END, TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.core.records import Step
from blendin_local.decode.respond import Ending, Question, respond
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings

SILENT = b"<silent>"  # in a script: a control token, which has no bytes
FILLERS = 1000
Script = Callable[[bytes], Mapping[bytes, float]]


def predict(probabilities: Mapping[bytes, float], top_k: int = 100) -> Prediction:
    """A prediction over these candidates.

    What is left of 1 lies on a silent token, unless that would make the model silent: what is more than that
    lies on a thousand words that nobody says.
    """
    pieces = [piece for piece in probabilities if piece not in {END, SILENT}]
    fillers = [b"~%d" % i for i in range(FILLERS)]
    table = TokenTable.build([*pieces, b"<end>", b"", *fillers], end_ids=[len(pieces)])
    weights = [probabilities[piece] for piece in pieces]
    masses = [*weights, probabilities.get(END, 0.0)]
    left = max(0.0, 1.0 - sum(masses))
    silent = probabilities.get(SILENT, min(left, 0.45))
    masses += [silent, *[max(0.0, left - silent) / FILLERS] * FILLERS]
    with np.errstate(divide="ignore"):
        logits = np.log(np.array(masses)).astype(np.float32)
    return Prediction(logits, table, top_k)


@dataclass
class ScriptedRole:
    """A model whose distribution is a function of the answer so far."""

    script: Script
    questions: list[bytes] = field(default_factory=list)

    def answer(self, text: bytes) -> Prediction:
        self.questions.append(text)
        return predict(self.script(text))


def always(**words: float) -> Script:
    """The same distribution everywhere."""
    return lambda _: {word.encode(): p for word, p in words.items()}


def spoken(pieces: list[bytes], p: float) -> Script:
    """A model that says these pieces one after another, each with probability p, then ends."""

    def script(text: bytes) -> Mapping[bytes, float]:
        said = b""
        for piece in pieces:
            if said == text:
                return {piece: p}
            said += piece
        return {END: p}

    return script


def converse(
    base: Script,
    guide: Script = lambda _: {END: 1.0},
    untuned: Script = lambda _: {END: 1.0},
    *,
    blend: BlendSettings | None = None,
    sampling: SamplingSettings | None = None,
    answer: AnswerSettings | None = None,
) -> tuple[list[Step], Ending, dict[str, ScriptedRole]]:
    """Run one answer on scripted models."""
    roles = {"base": ScriptedRole(base), "guide": ScriptedRole(guide), "untuned": ScriptedRole(untuned)}
    running = respond(
        blend or BlendSettings(), sampling or SamplingSettings(), answer or AnswerSettings(max_tokens=64)
    )
    steps: list[Step] = []
    exchange = next(running)
    while True:
        try:
            if isinstance(exchange, Question):
                exchange = running.send(roles[exchange.role].answer(exchange.text))
            else:
                steps.append(exchange)
                exchange = running.send(None)
        except StopIteration as finished:
            return steps, finished.value, roles
