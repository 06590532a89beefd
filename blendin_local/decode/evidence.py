"""What a decision rested on, kept with its step.

Here: `with_evidence`, which listens to the questions and answers of one `respond`.
Not here: the decision (`decode.respond`), deciding again out of what was kept (`jobs.replay`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from blendin_local.core.distribution import Prediction
from blendin_local.core.records import Candidate, CandidateLists, Heard, Step
from blendin_local.decode.respond import Answer, Ending, Question

Keep = Literal["no", "asked", "every"]
Hearing = tuple[Question, Prediction]


def with_evidence(answer: Answer, keep: Keep) -> Answer:
    """The same answer, each step with what was heard on the way to it.

    Args:
        answer: A fresh `respond` generator.
        keep: Where all candidates are kept: nowhere, at steps that asked the guide, or at every step.
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


def _noted(step: Step, text: bytes, heard: Sequence[Hearing], keep: Keep) -> Step:
    """`step`, which begins after `text`, with its evidence."""
    opening = {question.role: prediction for question, prediction in heard if question.text == text}
    base, guide = opening.get("base"), opening.get("guide")
    further = tuple(
        _further(question, prediction, text, keep)
        for question, prediction in heard
        if question.text != text or question.role not in {"base", "guide"}
    )
    step = replace(step, further=further)
    if keep == "no" or (keep == "asked" and len(opening) < 2 and not step.candidates):
        return step
    blended = step.candidates.blend if step.candidates else None
    return replace(step, candidates=CandidateLists(_all(base), _all(guide), blended))


def _further(question: Question, prediction: Prediction, text: bytes, keep: Keep) -> Heard:
    after = question.text[len(text) :]
    top = Candidate(prediction.top, prediction.top_p)
    return Heard(question.role, after, top, None if after or keep == "no" else _all(prediction))


def _all(prediction: Prediction | None) -> tuple[Candidate, ...] | None:
    if prediction is None:
        return None
    return tuple(Candidate(piece, p) for piece, p in prediction.candidates.items())
