"""Scripted models: next-token distributions written by hand, for what real models rarely do.

Here: scripts, the predictions they give, and `converse`, which runs one answer on them without llama.cpp.
Not here: the laws that are checked with them (`testing.method_laws`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from blendin_local.core.candidates import END, TokenTable
from blendin_local.core.constraint import UNCONSTRAINED, Constraint
from blendin_local.core.distribution import Prediction
from blendin_local.core.methods import Method
from blendin_local.core.records import Step
from blendin_local.core.roles import FURTHER_GUIDES, GUIDES, Role
from blendin_local.decode.respond import AnswerGenerator, Ending, Question, respond
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings

SILENT = b"<silent>"
"""In a script: a control token, which has no bytes."""

FILLERS = 1000
Script = Callable[[bytes], Mapping[bytes, float]]
"""A model: the probabilities of the next candidates after an answer text."""

WORDS: Mapping[Role, tuple[bytes, ...]] = {
    "base": (b"a", b" a", b"ab", b" abc", b"\n", b"\xf0\x9f", b"\x98", b"\x8a", b"1", END),
    "guide": (b"a", b" ab", b"abc", b" abcd", b"\xf0\x9f\x98\x8a", b"\xf0", b"12", b"\n\n", END),
    "untuned": (b"b", b" a", b"c", b"\xf0\x9f\x98", b"\x8a", b"1", b"2", END),
    "guide2": (b"a", b" a", b"bc", b" abc", b"\xf0\x9f", b"\x98\x8a", b"2", b"\n", END),
    "guide3": (b"ab", b" ab", b"c", b"\xf0\x9f\x98\x8a", b"12", b"\n", END),
}
"""Vocabularies that share some tokens and cut an emoji in different places."""


def predict(probabilities: Mapping[bytes, float], top_k: int = 100) -> Prediction:
    """A prediction over these candidates.

    The rest of the probability goes to a silent token, up to the share that would make the model silent, and
    beyond that to a thousand filler words that no test uses.

    Args:
        probabilities: By candidate; `END` and `SILENT` may be among them.
        top_k: Length of the candidate list.
    """
    pieces = tuple(piece for piece in probabilities if piece not in {END, SILENT})
    weights = [probabilities[piece] for piece in pieces]
    masses = [*weights, probabilities.get(END, 0.0)]
    left = max(0.0, 1.0 - sum(masses))
    silent = probabilities.get(SILENT, min(left, 0.45))
    masses += [silent, *[max(0.0, left - silent) / FILLERS] * FILLERS]
    with np.errstate(divide="ignore"):
        logits = np.log(np.array(masses)).astype(np.float32)
    return Prediction(logits, _table(pieces), top_k)


@lru_cache(maxsize=1000)
def _table(pieces: tuple[bytes, ...]) -> TokenTable:
    """A vocabulary of these pieces, an END, a silent token and the filler words."""
    fillers = [b"~%d" % i for i in range(FILLERS)]
    return TokenTable.build([*pieces, b"<end>", b"", *fillers], end_ids=[len(pieces)])


@dataclass
class ScriptedRole:
    """A model whose distribution is a function of the answer so far.

    Attributes:
        script: The function.
        questions: The texts after which it was asked, in order.
    """

    script: Script
    questions: list[bytes] = field(default_factory=list)

    def answer(self, text: bytes) -> Prediction:
        """What it predicts after this text."""
        self.questions.append(text)
        return predict(self.script(text))


def always(**words: float) -> Script:
    """The same distribution everywhere."""
    return lambda _: {word.encode(): p for word, p in words.items()}


def spoken(pieces: Sequence[bytes], p: float) -> Script:
    """A model that predicts these pieces one after another, each with probability p, then ends."""

    def script(text: bytes) -> Mapping[bytes, float]:
        produced = b""
        for piece in pieces:
            if produced == text:
                return {piece: p}
            produced += piece
        return {END: p}

    return script


def random_script(seed: int, role: Role = "base", silence: float = 0.0) -> Script:
    """A model of one of these vocabularies, whose probabilities after a text are random but reproducible.

    Args:
        seed: Another seed is another model.
        role: Whose vocabulary it has, of `WORDS`.
        silence: The share of texts after which it makes no suggestion.
    """
    words = WORDS[role]

    def script(text: bytes) -> Mapping[bytes, float]:
        rng = np.random.default_rng([seed, list(WORDS).index(role), zlib.crc32(text)])
        masses = rng.dirichlet(np.full(len(words), 0.3))
        if rng.random() >= silence:
            return dict(zip(words, masses.tolist(), strict=True))
        return {**dict(zip(words, (0.3 * masses).tolist(), strict=True)), SILENT: 0.69}

    return script


def play(
    running: AnswerGenerator, roles: Mapping[Role, ScriptedRole], constraint: Constraint = UNCONSTRAINED
) -> Generator[Step, None, Ending]:
    """Run one answer on scripted roles, step by step.

    Args:
        running: A fresh `respond` generator.
        roles: One for each role that may be asked.
        constraint: What the predictions are conditioned on.

    Yields:
        Every step.

    Returns:
        How it ended.
    """
    try:
        exchange = next(running)
        while True:
            if isinstance(exchange, Question):
                prediction = roles[exchange.role].answer(exchange.text)
                exchange = running.send(constraint.condition(prediction, exchange.text))
            else:
                yield exchange
                exchange = running.send(None)
    except StopIteration as finished:
        ending: Ending = finished.value
        return ending


def converse(
    base: Script,
    guide: Script = lambda _: {END: 1.0},
    untuned: Script = lambda _: {END: 1.0},
    *,
    blend: BlendSettings | None = None,
    sampling: SamplingSettings | None = None,
    answer: AnswerSettings | None = None,
    method: Method | None = None,
    start: Sequence[Step] = (),
    constraint: Constraint = UNCONSTRAINED,
    further_guides: Sequence[Script] = (),
) -> tuple[list[Step], Ending, dict[Role, ScriptedRole]]:
    """Run one answer on scripted models.

    Args:
        base: The base.
        guide: The guide.
        untuned: The third model.
        blend: The method's name and settings.
        sampling: How a candidate is picked.
        answer: When to end; 64 steps by default.
        method: A rule that need not be in `METHODS`, instead of the one that `blend` names.
        start: The steps that the answer begins with.
        constraint: What the answer may be.
        further_guides: The second guide, and the third.

    Returns:
        The steps, the ending, and the models with the questions they were asked.

    Example:
        >>> steps, ending, _ = converse(spoken([b"Hel", b"lo"], p=0.9))
        >>> ending.text, [step.source for step in steps]
        (b'Hello', ['base', 'base'])
    """
    roles: dict[Role, ScriptedRole] = {
        "base": ScriptedRole(base),
        "guide": ScriptedRole(guide),
        "untuned": ScriptedRole(untuned),
        **{role: ScriptedRole(each) for role, each in zip(FURTHER_GUIDES, further_guides, strict=False)},
    }
    running = respond(
        blend or BlendSettings(),
        sampling or SamplingSettings(),
        answer or AnswerSettings(max_tokens=64),
        method=method,
        start=start,
        constraint=constraint,
        guides=tuple(role for role in GUIDES if role in roles),
    )
    steps: list[Step] = []
    playing = play(running, roles, constraint)
    while True:
        try:
            steps.append(next(playing))
        except StopIteration as finished:
            return steps, finished.value, roles
