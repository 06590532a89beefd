"""The predictions that led to each step, kept with it so that `replay` can decide again.

Here: `with_trace`, which records the questions and predictions of one `respond`, and `TracePolicy`.
Not here: the decision (`decode.respond`), deciding again from a record (`jobs.replay`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from blendin_local.core.distribution import Prediction
from blendin_local.core.guide_pool import join_guides
from blendin_local.core.records import Candidate, CandidateLists, SideQuery, Step
from blendin_local.core.roles import GUIDES, Role
from blendin_local.decode.respond import AnswerGenerator, Ending, Question
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings

Lists = Literal["no", "asked", "every"]
Exchanged = tuple[Question, Prediction]


@dataclass(frozen=True)
class TracePolicy:
    """What is kept.

    Attributes:
        lists: Where all candidates are kept: nowhere, at steps that asked the guide, or at every step.
        temperatures: By role, the temperature at which its confidence is kept beside the lists.
        normalizers: Whether each model's log Z is kept beside the lists.
        certainty: Whether the base's margin and entropy are kept at every step.
        guide_weight: The weights of several guides.
    """

    lists: Lists = "no"
    temperatures: Mapping[Role, float] = field(default_factory=dict)
    normalizers: bool = False
    certainty: bool = False
    guide_weight: tuple[float, ...] = ()

    @classmethod
    def of(cls, blend: BlendSettings, sampling: SamplingSettings, answer: AnswerSettings) -> TracePolicy:
        """The evidence that deciding again needs, if the settings request it."""
        if not answer.evidence:
            return cls()
        fitted: dict[Role, float | None] = {"base": blend.base_temperature, "guide": blend.guide_temperature}
        temperatures = {role: value for role, value in fitted.items() if value is not None}
        every = sampling.temperature > 0 or sampling.penalizes
        normalizers = sampling.penalizes_tokens and sampling.repeat_penalty != 1
        lists: Lists = "every" if every else "asked"
        weights = blend.guide_weight
        return cls(lists, temperatures, normalizers, certainty=True, guide_weight=weights)


def with_trace(answer: AnswerGenerator, policy: TracePolicy) -> AnswerGenerator:
    """The same answer, each step with the predictions that led to it.

    Args:
        answer: A fresh `respond` generator.
        policy: What is recorded.
    """
    asked: list[Exchanged] = []
    text = b""
    prediction: Prediction | None = None
    while True:
        try:
            exchange = answer.send(prediction)
        except StopIteration as finished:
            ending: Ending = finished.value
            return replace(ending, end=ending.end and _with_record(ending.end, text, asked, policy))
        if isinstance(exchange, Question):
            prediction = yield exchange
            assert prediction is not None, "a driver answers every question with a prediction"
            asked.append((exchange, prediction))
        else:
            repeated = not asked or exchange.source == "chosen"  # a step that the answer begins with
            yield exchange if repeated else _with_record(exchange, text, asked, policy)
            text, prediction = text + exchange.bytes, None
            asked.clear()


def _with_record(step: Step, text: bytes, asked: Sequence[Exchanged], policy: TracePolicy) -> Step:
    """`step`, which begins after `text`, with its predictions."""
    at_start = {question.role: prediction for question, prediction in asked if question.text == text}
    whole = policy.lists == "every" or (
        policy.lists == "asked" and bool(len(at_start) > 1 or step.candidates)
    )
    further = [
        _side_query(question.role, question.text[len(text) :], prediction)
        for question, prediction in asked
        if question.text != text
    ]
    if policy.certainty and (base := at_start.get("base")):
        further.append(replace(_side_query("base", b"", base), margin=base.margin, entropy=base.entropy))
    untuned = at_start.get("untuned")
    if untuned is not None:
        further.append(
            replace(_side_query("untuned", b"", untuned), candidates=_all(untuned) if whole else None)
        )
    if not whole:
        return replace(step, further=tuple(further)) if further else step
    for role, temperature in policy.temperatures.items():
        if role in at_start:
            confidence = at_start[role].confidence(temperature)
            further.append(replace(_side_query(role, b"", at_start[role]), confidence=confidence))
    if policy.normalizers:
        further += [
            replace(_side_query(role, b"", prediction), log_normalizer=prediction.log_normalizer)
            for role, prediction in at_start.items()
        ]
    blended = step.candidates.blend if step.candidates else None
    members = {role: at_start[role] for role in GUIDES if role in at_start}
    guide = join_guides(members, policy.guide_weight) if members else None
    lists = CandidateLists(_all(at_start.get("base")), _all(guide), blended)
    parts = tuple(
        replace(part, candidates=_all(members[role]))
        for part in step.guides
        for role in members
        if part.role == role
    )
    return replace(step, candidates=lists, further=tuple(further), guides=parts)


def _side_query(role: Role, after: bytes, prediction: Prediction) -> SideQuery:
    return SideQuery(role, after, Candidate(prediction.top, prediction.top_p), silent=prediction.silent)


def _all(prediction: Prediction | None) -> tuple[Candidate, ...] | None:
    if prediction is None:
        return None
    return tuple(Candidate(piece, p) for piece, p in prediction.candidates.items())
