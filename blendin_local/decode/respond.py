"""How one answer is made: Algorithm 1 of the paper, as a generator that owns no model.

Here: `respond`. It yields a `Question` for every prediction it needs and receives the `Prediction`; it yields
every `Step` it has decided; it returns an `Ending`.
Not here: making the predictions (`decode.driver`), which ones a method needs (`core.methods`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from blendin_local.core.answer_start import n_given, proposer_of, state_after
from blendin_local.core.candidates import END, Distribution
from blendin_local.core.constraint import UNCONSTRAINED, Constraint
from blendin_local.core.decisions import Decision, MethodSteps
from blendin_local.core.distribution import Prediction
from blendin_local.core.guide_pool import GuidePool
from blendin_local.core.loops import loops
from blendin_local.core.methods import METHODS, Method
from blendin_local.core.penalties import History
from blendin_local.core.records import Candidate, CandidateLists, GuidePart, Step, StoppedBy
from blendin_local.core.roles import GUIDES, Role
from blendin_local.core.sampling import Picked, pick
from blendin_local.core.text import continues, find_stop, split_characters, whole_characters
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings


@dataclass(frozen=True, slots=True)
class Question:
    """What does `role` predict after this answer text, which may end inside a character?"""

    role: Role
    text: bytes


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended.

    Attributes:
        text: The answer, a stop string cut off.
        stopped_by: Why it ended.
        end: The decision for END, if that is what won.
    """

    text: bytes
    stopped_by: StoppedBy
    end: Step | None = None


Exchange = Question | Step
AnswerGenerator = Generator[Exchange, Prediction | None, Ending]
PredictionGenerator = Generator[Exchange, Prediction | None, Prediction]


def respond(
    blend: BlendSettings,
    sampling: SamplingSettings,
    limits: AnswerSettings,
    *,
    method: Method | None = None,
    start: Sequence[Step] = (),
    prompt: History = (),
    constraint: Constraint = UNCONSTRAINED,
    guides: Sequence[Role] = ("guide",),
) -> AnswerGenerator:
    """Make one answer.

    Args:
        blend: The method and its settings.
        sampling: How a candidate is picked; `seed` must be set where `temperature` is above 0.
        limits: When to end.
        method: The rule, where it is another than the one that the settings name.
        start: The steps that the answer begins with (`core.answer_start`); they are yielded first.
        prompt: The bytes of the tokens of the prompt and of a given start, for penalties on repetition.
        constraint: What the answer may be. The predictions are expected to be conditioned on it.
        guides: The guides that there are; a method that has no use for several asks the first.

    Yields:
        A `Question`, to be answered with a `Prediction`, or a `Step`, to be answered with None.
    """
    rule = METHODS[blend.method] if method is None else method
    rng = np.random.default_rng(sampling.seed)
    stops = [stop.encode() for stop in limits.stop]
    rng.random(len(start))  # what the steps of the start have drawn
    history = [*prompt, *(step.bytes for step in start if step.source != "given")]
    text = yield from repeat(start)
    state = replace(state_after(start), sampled=sampling.temperature > 0, guides=tuple(guides))
    limit = None if limits.max_tokens is None else limits.max_tokens + n_given(start)
    for i in count(len(start)) if limit is None else range(len(start), limit):
        if constraint.must_end(text):
            return Ending(text, "complete")
        if forced := constraint.forced(text):
            rng.random()  # as every other step does
            history.append(forced)
            searched, text, state = len(text), text + forced, replace(state, draft=())
            yield Step(i, forced, "forced")
            if (cut := find_stop(text, searched, stops)) is not None:
                return Ending(text[:cut], "stop_string")
            continue
        decision = yield from consult(rule(blend, state), text)
        picked = pick(decision, sampling, rng, history)
        if picked.piece == END:
            end = describe(i, END, picked, decision, limits.top_logprobs)
            return Ending(text, "guide_end" if decision.proposer(END) in GUIDES else "base_end", end)
        pieces = yield from finish_characters(decision.proposer(picked.piece), text, picked.piece)
        whole = whole_characters(b"".join(pieces))
        searched, text, state = len(text), text + whole, state.after(decision)
        history += pieces
        yield describe(i, whole, picked, decision, limits.top_logprobs)
        cut = find_stop(text, searched, stops)
        if cut is not None:
            return Ending(text[:cut], "stop_string")
        if limits.loop_guard and constraint.is_complete(text) is not False and loops(text):
            return Ending(text, "repetition")
    return Ending(text, "complete" if constraint.must_end(text) else "max_tokens")


def repeat(start: Sequence[Step]) -> Generator[Exchange, Prediction | None, bytes]:
    """Yield the steps that an answer begins with, whole characters each, and return their text."""
    text = b""
    for i, step in enumerate(start):
        whole = whole_characters(
            b"".join((yield from finish_characters(proposer_of(step), text, step.bytes)))
        )
        text += whole
        yield replace(step, i=i, bytes=whole)
    return text


def ask(role: Role, text: bytes) -> PredictionGenerator:
    """Ask the driver one question."""
    prediction = yield Question(role, text)
    assert prediction is not None, "a driver answers every question with a prediction"
    return prediction


def consult(method: MethodSteps, text: bytes) -> Generator[Exchange, Prediction | None, Decision]:
    """Run a method with the predictions that it requests after `text`, and return its decision."""
    try:
        request = next(method)
        while True:
            prediction = yield from ask(request.role, text + request.after)
            request = method.send(prediction)
    except StopIteration as finished:
        decision: Decision = finished.value
        return decision


def finish_characters(
    role: Role, text: bytes, piece: bytes
) -> Generator[Exchange, Prediction | None, list[bytes]]:
    """Complete a candidate that ends inside a character, greedily, by the model that proposed it.

    Returns:
        The candidate, and the tokens that complete it.
    """
    pieces = [piece]
    _, unfinished = split_characters(piece)
    for _ in range(4):  # a character has at most four bytes; a model that never closes one is cut off
        if not unfinished:
            break
        prediction = yield from ask(role, text + b"".join(pieces))
        silent = prediction.silent and prediction.legal_mass is None
        if silent or not continues(unfinished, prediction.top):
            break
        pieces.append(prediction.top)
        _, unfinished = split_characters(b"".join(pieces))
    return pieces


def describe(i: int, whole: bytes, picked: Picked, decision: Decision, top_logprobs: int) -> Step:
    """The record of a decision: `picked` won, and `whole` is what it added."""
    return Step(
        i=i,
        bytes=whole,
        source=decision.source(picked.piece),
        alpha=decision.alpha,
        base_top=_top(decision.base),
        guide_top=_top(decision.guide),
        untuned_top=_top(decision.untuned),
        candidates=_lists(decision, top_logprobs) if top_logprobs else None,
        silent=decision.silent,
        instead_of=picked.instead_of,
        legal_base=decision.base.legal_mass if decision.base else None,
        legal_guide=decision.guide.legal_mass if decision.guide else None,
        **_of_several(picked.piece, decision, top_logprobs),
    )


def _of_several(piece: bytes, decision: Decision, top_logprobs: int) -> dict[str, Any]:
    """The part of each of several guides, and whose word it is; nothing with one guide."""
    pool, alpha = decision.guide, decision.alpha
    if not isinstance(pool, GuidePool):
        return {}
    parts = (
        GuidePart(
            role,
            None if alpha is None else alpha * pool.shares[role],
            Candidate(each.top, each.top_p),
            _head(each.candidates, top_logprobs) if top_logprobs else None,
        )
        for role, each in pool.members.items()
    )
    return {"guides": tuple(parts), "proposer": decision.proposer(piece)}


def _top(prediction: Prediction | None) -> Candidate | None:
    return None if prediction is None else Candidate(prediction.top, prediction.top_p)


def _head(distribution: Distribution, n: int) -> tuple[Candidate, ...]:
    return tuple(Candidate(piece, p) for piece, p in list(distribution.items())[:n])


def _lists(decision: Decision, n: int) -> CandidateLists:
    both = decision.base is not None and decision.guide is not None
    return CandidateLists(
        base=_head(decision.base.candidates, n) if decision.base else None,
        guide=_head(decision.guide.candidates, n) if decision.guide else None,
        blend=_head(decision.options.distribution(), n) if both else None,
    )
