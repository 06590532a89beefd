"""Predictions from a record: they answer the questions of `respond` where no model runs.

Here: `RecordedPrediction`, the recorded part of a prediction; `RecordedPredictions`, all those of an answer.
Not here: the questions (`decode.respond`), the decisions (`replayed_answer`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from blendin_local.core.candidates import Distribution
from blendin_local.core.distribution import Prediction
from blendin_local.core.records import Candidate, SideQuery, Step, StoppedBy
from blendin_local.core.roles import GUIDES
from blendin_local.core.text import is_whole
from blendin_local.decode.respond import Question
from blendin_local.grammar.definition import definition_of
from blendin_local.jobs.replay.stored_answer import StoredAnswer

STOPPED: Mapping[StoppedBy | None, str] = {
    "user": "the recorded answer was stopped here",
    "context": "the context was full here",
    None: "the record is cut off here",
}


class NotRecordedError(Exception):
    """A prediction that is needed is not in the record; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers about a prediction, each None if it was not recorded.

    Attributes:
        log_normalizer: log Z.
        margin: The difference between the two likeliest candidates.
        entropy: In nats.
    """

    log_normalizer: float | None = None
    margin: float | None = None
    entropy: float | None = None


class RecordedPrediction(Prediction):
    """A prediction as a record kept it.

    Args:
        top: The likeliest candidate.
        candidates: All of them, None if they were not kept.
        why_not: Why they were not kept; empty to use the likeliest alone, where nothing is decided by it.
        confidences: By temperature, if they were recorded.
        figures: What else was recorded.
        silent: Whether it made no suggestion.
        legal_mass: As of any prediction, 1 where it was conditioned and the mass was not recorded.
    """

    def __init__(
        self,
        top: Candidate,
        candidates: Distribution | None,
        why_not: str,
        confidences: Mapping[float | None, float | None],
        figures: Figures,
        *,
        silent: bool,
        legal_mass: float | None = None,
    ) -> None:
        self.top, self.top_p = top.bytes, top.p
        self._kept = candidates
        self._why_not = why_not
        self._confidences = confidences
        self._figures = figures
        self.silent = silent
        self.legal_mass = legal_mass

    @property
    def candidates(self) -> Distribution:
        """As of any prediction. NotRecordedError where they were not kept."""
        if self._kept is not None:
            return self._kept
        if self._why_not:
            raise NotRecordedError(self._why_not)
        return {self.top: self.top_p}

    def confidence(self, temperature: float) -> float:
        """As of any prediction. NotRecordedError at other temperatures than the fitted ones."""
        kept = self._confidences.get(temperature)
        if kept is None:
            raise NotRecordedError(f"a confidence at temperature {temperature:g} was not kept here")
        return kept

    @property
    def log_normalizer(self) -> float:
        """As of any prediction. NotRecordedError where it was not kept."""
        if self._figures.log_normalizer is None:
            raise NotRecordedError("the logits that a repeat penalty needs were not kept here")
        return self._figures.log_normalizer

    @property
    def margin(self) -> float:
        """As of any prediction. NotRecordedError where neither it nor two candidates were kept."""
        if self._figures.margin is not None:
            return self._figures.margin
        listed = [*self.candidates.values()]
        if len(listed) < 2:
            raise NotRecordedError("the margin between its two likeliest candidates was not kept here")
        return listed[0] - listed[1]

    @property
    def entropy(self) -> float:
        """As of any prediction. NotRecordedError where it was not kept."""
        if self._figures.entropy is None:
            raise NotRecordedError("the entropy was not kept here")
        return self._figures.entropy

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of `Prediction`
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotRecordedError("a record does not keep what this setting needs of the whole vocabulary")


class RecordedPredictions:
    """Every prediction that was received while an answer was made, conditioned as it was then.

    Args:
        stored: The answer.
    """

    def __init__(self, stored: StoredAnswer) -> None:
        self._stored = stored
        self._is_conditioned = definition_of(stored.answer) is not None
        self._step_at: dict[bytes, Step] = {}
        self._kept_at: dict[tuple[str, bytes], tuple[Candidate, tuple[Candidate, ...] | None]] = {}
        self._silent: set[tuple[str, bytes]] = set()
        self._confidences: dict[tuple[str, bytes], float] = {}
        self._figures: dict[tuple[str, bytes], Figures] = {}
        self._legal_masses: dict[tuple[str, bytes], float | None] = {}
        text = b""
        for step in stored.decisions:
            self._step_at[text] = step
            self._keep(step, text)
            text += step.bytes

    def _keep(self, step: Step, text: bytes) -> None:
        lists = step.candidates
        for role, top in (("base", step.base_top), ("guide", step.guide_top)):
            if top is not None:
                self._kept_at[role, text] = top, getattr(lists, role, None)
        for part in step.guides:
            self._kept_at[part.role, text] = part.top, part.candidates
        guides = (part.role for part in step.guides) if step.guides else ("guide",)
        self._legal_masses |= {(role, text): step.legal_guide for role in guides}
        self._legal_masses["base", text] = step.legal_base
        self._silent |= {(role, text) for role in step.silent}
        for other in step.further:
            key = other.role, text + other.after
            self._kept_at.setdefault(key, (other.top, other.candidates))
            if other.silent:
                self._silent.add(key)
            if other.confidence is not None:
                self._confidences[key] = other.confidence
            self._keep_figures(other, key)

    def _keep_figures(self, query: SideQuery, key: tuple[str, bytes]) -> None:
        """Add the figures of a query to those kept for the same prediction."""
        kept = self._figures.get(key, Figures())
        found = {each.name: getattr(query, each.name) for each in fields(kept)}
        self._figures[key] = replace(kept, **{name: x for name, x in found.items() if x is not None})

    def answer(self, question: Question, top_k: int, *, lenient: bool) -> RecordedPrediction:
        """The recorded prediction for a question.

        Args:
            question: Of `respond`.
            top_k: How many candidates may enter a blend.
            lenient: Whether the likeliest candidate may replace a missing list that decides nothing.

        Raises:
            NotRecordedError: That was not asked when the record was made.
        """
        kept = self._kept_at.get((question.role, question.text))
        if kept is None:
            raise NotRecordedError(self._why_missing(question))
        top, listed = kept
        why_not = self._why_partial(question.role, listed, top_k)
        key = question.role, question.text
        confidences = {self._temperature(question.role): self._confidences.get(key)}
        figures, silent = self._figures.get(key, Figures()), key in self._silent
        candidates: Distribution | None = None
        if listed is not None and not why_not:
            candidates = {each.bytes: each.p for each in listed[:top_k]}
        why_not = "" if lenient else why_not
        mass = self._legal_masses.get(key)
        if mass is None and self._is_conditioned:
            mass = 1.0
        return RecordedPrediction(
            top, candidates, why_not, confidences, figures, silent=silent, legal_mass=mass
        )

    def _temperature(self, role: str) -> float | None:
        blend = self._stored.blend
        return {"base": blend.base_temperature, "guide": blend.guide_temperature}.get(role)

    def _why_missing(self, question: Question) -> str:
        if question.text in self._step_at:
            was = "asked" if question.role in GUIDES else "run"
            return f"the {question.role} was not {was} here"
        stored = self._stored
        if question.text == b"".join(step.bytes for step in stored.decisions):
            return STOPPED.get(stored.stopped_by, "the recorded answer ended here")
        if is_whole(question.text):
            return f"what the {question.role} would say further on was not recorded"
        return f"how the {question.role} would finish this character was not recorded"

    def _why_partial(self, role: str, listed: tuple[Candidate, ...] | None, top_k: int) -> str:
        if listed is None:
            return f"the {role}'s candidates were not kept here"
        if not self._stored.is_whole(listed):
            return f"only the {role}'s first {len(listed)} candidates were kept"
        if top_k > self._stored.blend.top_k <= len(listed):
            return f"only the {role}'s first {len(listed)} candidates entered the blend"
        return ""
