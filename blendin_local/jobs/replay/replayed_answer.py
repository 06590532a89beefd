"""A stored answer decided again with other settings, as far as the recorded predictions reach.

Here: `replay_answer` and its result, `ReplayedAnswer`.
Not here: the rules (`core.methods`, `decode.respond`: the code that made the answer runs again), predictions
from the record (`recorded_predictions`).

What is known is exact: as long as the same bytes win, a run with the new settings would have asked the same
questions and received the same predictions. At the first other winner the texts diverge, and the models'
predictions after it are unknown; likewise where the new settings ask what was not asked then. A sampled
answer (temperature above 0) is sampled again with the same random numbers, one for each step. The steps that
an answer was begun with (a given text, a fork) stay as they were. Where an answer had to have a form, what
that forces and when it is complete are decided again; the recorded predictions are conditioned on it already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from blendin_local.core.methods import BRIDGED, require_guides, roles_of
from blendin_local.core.records import BlendSummary, Step, StoppedBy, summarize
from blendin_local.decode.respond import Ending, Question, respond
from blendin_local.errors import UsageError
from blendin_local.grammar.definition import definition_of
from blendin_local.jobs.replay.recorded_predictions import NotRecordedError, RecordedPredictions
from blendin_local.jobs.replay.stored_answer import StoredAnswer
from blendin_local.pair.constraints import Constraints
from blendin_local.settings import BlendSettings

Outcome = Literal["same", "differs", "unknown"]


@dataclass(frozen=True)
class ReplayedAnswer:
    """A stored answer decided again with other settings.

    Attributes:
        stored: The stored answer.
        blend: The settings now.
        outcome: `same`: every step, and the end; `differs`: another candidate wins at `step`;
            `unknown`: the record does not have what is needed to decide it.
        step: The first step that differs or is unknown; for `same` the number of steps.
        steps: The steps as they are decided now, a differing one included (END is no step).
        before: At a difference: the step as recorded, with all lists that were kept.
        after: The step as decided now, likewise.
        reason: Why it is unknown.
        stopped_by: For `same`: what ends the answer now.
    """

    stored: StoredAnswer
    blend: BlendSettings
    outcome: Outcome
    step: int
    steps: tuple[Step, ...]
    before: Step | None = None
    after: Step | None = None
    reason: str = ""
    stopped_by: StoppedBy | None = None

    @property
    def known(self) -> int:
        """Steps decided both then and now: the rates are compared over these."""
        return min(len(self.steps), len(self.stored.steps))

    @property
    def unknown(self) -> int:
        """Number of recorded steps that are unknown under the new settings: those after the last decided."""
        decided = self.step + 1 if self.outcome == "differs" else self.step
        return max(0, len(self.stored.steps) - decided)

    @property
    def recorded_rates(self) -> BlendSummary:
        """How often the guide was asked over the known steps, as recorded."""
        return summarize(self.stored.steps[: self.known])

    @property
    def replayed_rates(self) -> BlendSummary:
        """The same with the new settings."""
        return summarize(self.steps[: self.known])


def replay_answer(stored: StoredAnswer, blend: BlendSettings) -> ReplayedAnswer:
    """Decide a stored answer again.

    Args:
        stored: The answer.
        blend: The settings to decide it with.

    Raises:
        UsageError: The record does not follow from its own settings, or the new ones need more than it keeps,
            or do not go with several guides.
    """
    _require_decidable(blend)
    _require_one_sequence(stored)
    require_guides(stored.guides, blend)
    _require_prompt(stored)
    _require_consistent(stored)
    steps, ended = _decide(stored, blend)
    i = _first_difference(steps, stored.decisions)
    if i < len(steps):
        return _differing(stored, blend, steps, i)
    known = tuple(step for step in steps if step.bytes)
    if isinstance(ended, str):
        return ReplayedAnswer(stored, blend, "unknown", len(known), known, reason=ended)
    return ReplayedAnswer(stored, blend, "same", len(known), known, stopped_by=ended.stopped_by)


def _differing(stored: StoredAnswer, blend: BlendSettings, steps: Sequence[Step], i: int) -> ReplayedAnswer:
    before = _shown(stored, stored.blend, i) or stored.decisions[i]
    after = _shown(stored, blend, i) or steps[i]
    known = tuple(step for step in steps[: i + 1] if step.bytes)
    return ReplayedAnswer(stored, blend, "differs", i, known, before, after)


def _require_decidable(blend: BlendSettings) -> None:
    """Raise `UsageError` where a rule reads whole vocabularies: a record keeps the likeliest candidates."""
    steers = "untuned" in roles_of(blend.method)
    if steers or (blend.bridge == "prefix" and blend.method in BRIDGED):
        rule = f"method {blend.method}" if steers else "bridge prefix"
        raise UsageError(
            f"{rule} reads the whole vocabularies, which no record keeps",
            "run the models with it, or replay with another method and --bridge bytes",
        )


def _require_one_sequence(stored: StoredAnswer) -> None:
    """Raise `UsageError` where a search put the answer together of sequences with seeds of their own."""
    size = stored.sampling.search_size
    if size is not None and size.n_sequences > 1:
        raise UsageError(
            f"{stored.name} was found by a search among {size.n_sequences} sequences (--search {size}), "
            "and a replay repeats the decisions of one",
            "its record lists the beams of the search; replay an answer that was made without one",
        )


def _require_prompt(stored: StoredAnswer) -> None:
    """Raise `UsageError` where penalties looked at a prompt that was not kept (no prompt has no tokens)."""
    if stored.sampling.penalizes and not stored.prompt:
        raise UsageError(
            f"{stored.name} was made with penalties on repetition, and its record lacks the prompt's tokens",
            "write one with blendin run --trace FILE",
        )


def _require_consistent(stored: StoredAnswer) -> None:
    steps, _ = _decide(stored, stored.blend)
    i = _first_difference(steps, stored.decisions)
    if i < len(steps):
        raise UsageError(
            f"step {i} of {stored.name} does not follow from the settings it was recorded with",
            f"the record was changed, or written by another version ({stored.version or 'unknown'})",
        )


def _first_difference(steps: Sequence[Step], recorded: Sequence[Step]) -> int:
    """The first of `steps` whose bytes differ from the record; their number where none does."""
    pairs = enumerate(zip(steps, recorded, strict=False))
    return next((i for i, (now, then) in pairs if now.bytes != then.bytes), len(steps))


def _shown(stored: StoredAnswer, blend: BlendSettings, i: int) -> Step | None:
    """Step `i` with all lists, for looking at."""
    steps, _ = _decide(stored, blend, lenient=True)
    return steps[i] if i < len(steps) else None


def _decide(
    stored: StoredAnswer, blend: BlendSettings, *, lenient: bool = False
) -> tuple[list[Step], Ending | str]:
    """Run the rule of an answer on the record.

    Returns:
        The steps (END among them) up to the first other one at most, and how it ended: by the rule, or why
        the next step cannot be known.
    """
    predictions, recorded = RecordedPredictions(stored), stored.decisions
    shown = max(blend.top_k, stored.blend.top_k) if lenient else 0
    limits = replace(stored.answer, top_logprobs=shown)
    running = respond(
        blend,
        stored.sampling,
        limits,
        start=stored.start,
        prompt=stored.prompt,
        constraint=Constraints(()).of(definition_of(stored.answer), stored.start),
        guides=stored.guides,
    )
    steps: list[Step] = []
    try:
        exchange = next(running)
        while True:
            if isinstance(exchange, Question):
                exchange = running.send(predictions.answer(exchange, blend.top_k, lenient=lenient))
                continue
            steps.append(exchange)
            if len(steps) > len(recorded) or exchange.bytes != recorded[len(steps) - 1].bytes:
                return steps, "the texts diverge here"
            exchange = running.send(None)
    except NotRecordedError as missing:
        return steps, str(missing)
    except StopIteration as finished:
        ending: Ending = finished.value
        return [*steps, *([] if ending.end is None else [ending.end])], ending
