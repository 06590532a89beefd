"""Deciding a stored answer again with other settings, as far as what was heard then reaches.

Here: `replay`, and `Replay`, what came of it.
Not here: the rules (`core.methods`, `decode.respond`: the code that made the answer runs again), predictions
out of the record (`evidence`).

What is known is exact: as long as the same bytes win, a run with the new settings would have asked the same
questions and heard the same. At the first other winner the texts part, and what the models would have said
after it nobody knows; likewise where the new settings ask what was not asked then. A drawn answer
(temperature above 0) is drawn again with the same numbers, one for each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from blendin_local.core.records import BlendSummary, Step, StoppedBy, summarize
from blendin_local.decode.respond import Ending, Question, respond
from blendin_local.errors import UsageError
from blendin_local.jobs.replay.recorded_predictions import Evidence, NotRecordedError
from blendin_local.jobs.replay.stored_answer import Recording
from blendin_local.settings import BlendSettings

Outcome = Literal["same", "differs", "unknown"]


@dataclass(frozen=True)
class Replay:
    """A stored answer, decided again.

    Attributes:
        recording: The stored answer.
        blend: The settings now.
        outcome: `same`: every step, and the end; `differs`: another candidate wins at step `i`;
            `unknown`: the record does not say enough to decide step `i`.
        i: The step at which knowledge ends; for `same` the number of steps.
        steps: The steps as they are decided now, a differing one included (END is no step).
        before: At a difference: the step then, with all lists that were kept.
        after: The step now, likewise.
        reason: Why it is unknown.
        stopped_by: For `same`: whose end it is now.
    """

    recording: Recording
    blend: BlendSettings
    outcome: Outcome
    i: int
    steps: tuple[Step, ...]
    before: Step | None = None
    after: Step | None = None
    reason: str = ""
    stopped_by: StoppedBy | None = None

    @property
    def known(self) -> int:
        """Steps decided both then and now: the rates are compared over these."""
        return min(len(self.steps), len(self.recording.steps))

    @property
    def unknown(self) -> int:
        """Steps of the record that say nothing about the new settings: those after the last decided."""
        decided = self.i + 1 if self.outcome == "differs" else self.i
        return max(0, len(self.recording.steps) - decided)

    @property
    def then(self) -> BlendSummary:
        """How often the guide was asked over the known steps, as recorded."""
        return summarize(self.recording.steps[: self.known])

    @property
    def now(self) -> BlendSummary:
        """The same with the new settings."""
        return summarize(self.steps[: self.known])


def replay(recording: Recording, blend: BlendSettings) -> Replay:
    """Decide a stored answer again.

    Args:
        recording: The answer.
        blend: The settings to decide it with.

    Raises:
        UsageError: The record does not follow from its own settings, or the new ones need more than it keeps.
    """
    _require_decidable(blend)
    _require_consistent(recording)
    steps, ended = _decide(recording, blend)
    i = _first_other(steps, recording.decisions)
    if i < len(steps):
        return _differing(recording, blend, steps, i)
    said = tuple(step for step in steps if step.bytes)
    if isinstance(ended, str):
        return Replay(recording, blend, "unknown", len(said), said, reason=ended)
    return Replay(recording, blend, "same", len(said), said, stopped_by=ended.stopped_by)


def _differing(recording: Recording, blend: BlendSettings, steps: Sequence[Step], i: int) -> Replay:
    before = _shown(recording, recording.blend, i) or recording.decisions[i]
    after = _shown(recording, blend, i) or steps[i]
    said = tuple(step for step in steps[: i + 1] if step.bytes)
    return Replay(recording, blend, "differs", i, said, before, after)


def _require_decidable(blend: BlendSettings) -> None:
    """Raise `UsageError` where a rule reads whole vocabularies: a record keeps the likeliest candidates."""
    if blend.method == "proxy" or (blend.bridge == "prefix" and blend.method in {"blendin", "ensemble"}):
        rule = "method proxy" if blend.method == "proxy" else "bridge prefix"
        raise UsageError(
            f"{rule} reads the whole vocabularies, which no record keeps",
            "run the models with it, or replay with another method and --bridge bytes",
        )


def _require_consistent(recording: Recording) -> None:
    steps, _ = _decide(recording, recording.blend)
    i = _first_other(steps, recording.decisions)
    if i < len(steps):
        raise UsageError(
            f"step {i} of {recording.name} does not follow from the settings it was recorded with",
            f"the record was changed, or written by another version ({recording.version or 'unknown'})",
        )


def _first_other(steps: Sequence[Step], recorded: Sequence[Step]) -> int:
    """The first of `steps` that says something else than the record; their number where none does."""
    pairs = enumerate(zip(steps, recorded, strict=False))
    return next((i for i, (now, then) in pairs if now.bytes != then.bytes), len(steps))


def _shown(recording: Recording, blend: BlendSettings, i: int) -> Step | None:
    """Step `i` with all lists, for looking at."""
    steps, _ = _decide(recording, blend, lenient=True)
    return steps[i] if i < len(steps) else None


def _decide(
    recording: Recording, blend: BlendSettings, *, lenient: bool = False
) -> tuple[list[Step], Ending | str]:
    """Run the rule of an answer on the record.

    Returns:
        The steps (END among them) up to the first other one at most, and how it ended: by the rule, or why
        the next step cannot be known.
    """
    evidence, recorded = Evidence(recording), recording.decisions
    shown = max(blend.top_k, recording.blend.top_k) if lenient else 0
    running = respond(blend, recording.sampling, replace(recording.answer, top_logprobs=shown))
    steps: list[Step] = []
    try:
        exchange = next(running)
        while True:
            if isinstance(exchange, Question):
                exchange = running.send(evidence.answer(exchange, blend.top_k, lenient=lenient))
                continue
            steps.append(exchange)
            if len(steps) > len(recorded) or exchange.bytes != recorded[len(steps) - 1].bytes:
                return steps, "the texts part here"
            exchange = running.send(None)
    except NotRecordedError as missing:
        return steps, str(missing)
    except StopIteration as finished:
        ending: Ending = finished.value
        return [*steps, *([] if ending.end is None else [ending.end])], ending
