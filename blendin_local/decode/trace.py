"""What a decision rested on, kept with its step.

Here: `with_evidence`, which listens to the questions and answers of one `respond`.
Not here: the decision (`decode.respond`), deciding again out of what was kept (`jobs.replay`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from blendin_local.core.distribution import Prediction
from blendin_local.core.methods import Role
from blendin_local.core.records import Candidate, CandidateLists, SideQuery, Step
from blendin_local.decode.respond import Answer, Ending, Question
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings

Lists = Literal["no", "asked", "every"]
Hearing = tuple[Question, Prediction]


@dataclass(frozen=True)
class TracePolicy:
    """What is kept.

    Attributes:
        lists: Where all candidates are kept: nowhere, at steps that asked the guide, or at every step.
        temperatures: By role, the temperature at which its confidence is kept beside the lists.
    """

    lists: Lists = "no"
    temperatures: Mapping[Role, float] = field(default_factory=dict)

    @classmethod
    def of(cls, blend: BlendSettings, sampling: SamplingSettings, answer: AnswerSettings) -> TracePolicy:
        """What deciding again needs, where that is wanted."""
        if not answer.evidence:
            return cls()
        fitted: dict[Role, float | None] = {"base": blend.base_temperature, "guide": blend.guide_temperature}
        temperatures = {role: value for role, value in fitted.items() if value is not None}
        return cls("every" if sampling.temperature else "asked", temperatures)


def with_evidence(answer: Answer, keep: TracePolicy) -> Answer:
    """The same answer, each step with what was heard on the way to it.

    Args:
        answer: A fresh `respond` generator.
        keep: What is kept of it.
    """
    heard: list[Hearing] = []
    text = b""
    prediction: Prediction | None = None
    while True:
        try:
            exchange = answer.send(prediction)
        except StopIteration as finished:
            ending: Ending = finished.value
            return replace(ending, end=ending.end and _noted(ending.end, text, heard, keep))
        if isinstance(exchange, Question):
            prediction = yield exchange
            assert prediction is not None, "a driver answers every question with a prediction"
            heard.append((exchange, prediction))
        else:
            yield _noted(exchange, text, heard, keep)
            text, prediction = text + exchange.bytes, None
            heard.clear()


def _noted(step: Step, text: bytes, heard: Sequence[Hearing], keep: TracePolicy) -> Step:
    """`step`, which begins after `text`, with its evidence."""
    opening = {question.role: prediction for question, prediction in heard if question.text == text}
    whole = keep.lists == "every" or (keep.lists == "asked" and bool(len(opening) > 1 or step.candidates))
    further = [
        _heard(question.role, question.text[len(text) :], prediction)
        for question, prediction in heard
        if question.text != text
    ]
    untuned = opening.get("untuned")
    if untuned is not None:
        further.append(replace(_heard("untuned", b"", untuned), candidates=_all(untuned) if whole else None))
    if not whole:
        return replace(step, further=tuple(further))
    for role, temperature in keep.temperatures.items():
        if role in opening:
            confidence = opening[role].confidence(temperature)
            further.append(replace(_heard(role, b"", opening[role]), confidence=confidence))
    blended = step.candidates.blend if step.candidates else None
    lists = CandidateLists(_all(opening.get("base")), _all(opening.get("guide")), blended)
    return replace(step, candidates=lists, further=tuple(further))


def _heard(role: Role, after: bytes, prediction: Prediction) -> SideQuery:
    return SideQuery(role, after, Candidate(prediction.top, prediction.top_p), silent=prediction.silent)


def _all(prediction: Prediction | None) -> tuple[Candidate, ...] | None:
    if prediction is None:
        return None
    return tuple(Candidate(piece, p) for piece, p in prediction.candidates.items())
