"""Search over chunks: several sequences of one answer, of which those are kept that tuning made likelier.

Here: `search`, a third driver over the same `respond` and the same role contexts. W * K sequences write a
chunk of L steps each, in shared batches. Their texts are then scored, the best W are kept, and each goes on
in K copies, until all that are kept have ended.
Not here: the selection (`core.beams`), the scores (`decode.text_scores`), how an answer is made
(`decode.respond`), one round of evaluations (`decode.active_request`).
Source: that of `core.beams`; what differs is in docs/methods.md.

A beam goes on in its own sequence by the generator that began it, so one sequence alone (W = K = 1) makes the
steps of the plain method. Its copies begin with its steps, as a forked answer does; what the models have read
of it is copied, not read again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from blendin_local.core.beams import Beam, SearchRecord, best_beams, share_copies
from blendin_local.core.methods import Role
from blendin_local.core.records import Step, StoppedBy
from blendin_local.decode.active_request import ActiveRequest, RequestEvents, run_round
from blendin_local.decode.request import PreparedRequest, RoleContexts
from blendin_local.decode.respond import Ending
from blendin_local.decode.text_scores import NOTHING, TextScore, TextScorer
from blendin_local.engine.context import StoppedError
from blendin_local.engine.sequence import common_prefix
from blendin_local.errors import ContextFullError, UsageError
from blendin_local.settings import SamplingSettings, SearchSize

SCORING: tuple[Role, Role] = ("guide", "untuned")
"""The roles of the score: log p(guide) - log p(untuned)."""


def refuse_search(sampling: SamplingSettings) -> None:
    """Raise `UsageError` where a search is asked of what answers many requests at once, as a server does."""
    if sampling.search:
        raise UsageError(
            f"a server makes no search ({sampling.search}): one answer would take the sequences of many",
            "use blendin run, blendin batch or Python",
        )


ENDED_BY_ITSELF: frozenset[StoppedBy] = frozenset({"base_end", "guide_end", "stop_string", "complete"})
"""How an answer ends that has said all: END is part of its score."""

Writing = ActiveRequest[int]


def search(
    request: PreparedRequest, slots: Sequence[RoleContexts], should_stop: Callable[[], bool]
) -> Generator[Step, None, tuple[Ending, SearchRecord | None]]:
    """Find one answer.

    Args:
        request: What is asked for, with a search in its sampling settings and prompts for the guide and the
            untuned guide.
        slots: As many as its `SearchSize` needs; the request is started in the first.
        should_stop: Polled between steps and during evaluations. The best beam is then the answer, with what
            it has written since.

    Yields:
        Every step as soon as all beams share it, so that it can change no more.

    Returns:
        How the answer ended, and how it was found.

    Raises:
        ContextFullError: There is no room for the first chunk.
        BlendinError: What a sequence has met.
    """
    running = _Search(request, slots, should_stop)
    broken_off: StoppedBy | None = None
    n_told = 0
    while broken_off is None and not running.ended:
        try:
            running.write_chunk()
        except StoppedError:
            broken_off = "user"
        except ContextFullError:
            if not running.chunks:
                raise
            broken_off = "context"
        agreed = running.agreed()
        yield from agreed[n_told:]
        n_told = max(n_told, len(agreed))
    steps, ending = running.outcome(broken_off)
    yield from steps[n_told:]
    return ending, running.record()


@dataclass(frozen=True)
class _Written:
    """A sequence as it was after a chunk.

    Attributes:
        writing: The answer in progress, which goes on in this sequence.
        steps: Its steps.
        ending: How it ended; None where it goes on.
        scores: What the scoring models say of its text.
        place: Its place in the list of the last chunk; None before the first.
    """

    writing: Writing
    steps: tuple[Step, ...] = ()
    ending: Ending | None = None
    scores: Mapping[Role, TextScore] = field(default_factory=dict)
    place: int | None = None

    @property
    def text(self) -> bytes:
        """The answer, a stop string cut off."""
        return _text(self.steps) if self.ending is None else self.ending.text


class _Search:
    """One search; arguments as for `search`."""

    def __init__(
        self, request: PreparedRequest, slots: Sequence[RoleContexts], should_stop: Callable[[], bool]
    ) -> None:
        self.chunks: list[tuple[Beam, ...]] = []
        self._request = request
        self._slots = slots
        self._should_stop = should_stop
        self._size = SearchSize.of(request.settings.sampling.search or "")
        first = request.role_contexts(slots[0])
        self._scorers = {
            role: TextScorer(
                slots[self._size.n_sequences][role], request.prompts[role], first[role].sequence.counter
            )
            for role in SCORING
        }
        root = Writing(0, request, 0, first, RequestEvents())
        self._kept = [_Written(root, tuple(root.steps))]

    @property
    def ended(self) -> bool:
        """Whether all beams have ended."""
        return all(beam.ending for beam in self._kept)

    def write_chunk(self) -> None:
        """Let every beam that has not ended go on in copies, score them all, and keep the best."""
        going = [beam for beam in self._kept if beam.ending is None]
        pool = [beam for beam in self._kept if beam.ending is not None]
        n_sequences = (self._size.width - len(pool)) * self._size.copies
        if n_sequences > 1 and not self.chunks:
            going[0].writing.read_prompt(self._should_stop)  # once for all
        continued = self._copies(going, n_sequences)
        for writing, beam in continued:
            n_before = max(len(beam.steps), len(self._request.answer_start))
            writing.pause_at = n_before + self._size.length
        self._run([writing for writing, _ in continued])
        read = [self._read(writing, beam) for writing, beam in continued]
        self._select([*pool, *(beam for beam in read if beam is not None)])

    def _copies(self, beams: Sequence[_Written], n_sequences: int) -> list[tuple[Writing, _Written]]:
        """The sequences that continue these beams, each with its beam; a beam's own comes first."""
        own = {beam.writing.number for beam in beams}
        free = iter([number for number in range(self._size.n_sequences) if number not in own])
        return [
            (beam.writing if i == 0 else self._copy(beam, next(free)), beam)
            for beam, n_copies in zip(beams, share_copies(n_sequences, len(beams)), strict=True)
            for i in range(n_copies)
        ]

    def _copy(self, beam: _Written, number: int) -> Writing:
        """Continue a beam in another sequence, by other random numbers."""
        role_contexts = self._request.role_contexts(self._slots[number])
        for role, role_context in role_contexts.items():
            role_context.follow(beam.writing.role_contexts[role])
        settings = self._request.settings
        sampling = replace(settings.sampling, seed=seed_of(settings.sampling.seed or 0, number))
        request = replace(
            self._request,
            answer_start=beam.steps if self.chunks else self._request.answer_start,
            settings=replace(settings, sampling=sampling),
        )
        return Writing(number, request, number, role_contexts, RequestEvents())

    def _run(self, writing: Sequence[Writing]) -> None:
        """Write until every sequence has its chunk or has ended."""
        while active := [each for each in writing if not each.waits]:
            if self._should_stop():
                raise StoppedError
            run_round(active, (), self._should_stop)

    def _read(self, writing: Writing, parent: _Written) -> _Written | None:
        """Score what a sequence has written; None where a scoring model has no room for it."""
        if isinstance(writing.error, ContextFullError) and self.chunks:
            ending: Ending | None = Ending(_text(writing.steps), "context")
        elif writing.error is not None:
            raise writing.error
        else:
            ending = writing.ending
        beam = _Written(writing, tuple(writing.steps), ending, place=parent.place)
        try:
            scores = {
                role: scorer.score(beam.text, parent.scores.get(role, NOTHING), self._should_stop)
                for role, scorer in self._scorers.items()
            }
        except ContextFullError:
            return None
        return replace(beam, scores=scores)

    def _select(self, pool: Sequence[_Written]) -> None:
        """Keep the best W; note them all."""
        if not pool:
            context = self._slots[0]["guide"].context
            raise ContextFullError(n_prompt=context.ctx_size + 1, n_ctx=context.ctx_size, role="guide")
        beams = [self._beam(written) for written in pool]
        chosen = best_beams(
            [
                (beam.score, written.text, written.ending is not None)
                for beam, written in zip(beams, pool, strict=True)
            ],
            self._size.width,
        )
        self.chunks.append(tuple(replace(beam, kept=i in chosen) for i, beam in enumerate(beams)))
        self._kept = [replace(pool[i], place=i) for i in chosen]

    def _beam(self, written: _Written) -> Beam:
        """What the record says of a sequence."""
        before = 0 if written.place is None else self.chunks[-1][written.place].n_bytes
        counts_end = all(scorer.knows_end for scorer in self._scorers.values())
        ending = written.ending
        ended = counts_end and ending is not None and ending.stopped_by in ENDED_BY_ITSELF
        tuned, untuned = (written.scores[role].total(ended=ended) for role in SCORING)
        return Beam(
            slot=written.writing.number,
            parent=written.place,
            text=written.text[before:].decode(),
            n_steps=len(written.steps),
            n_bytes=len(written.text),
            tuned=tuned,
            untuned=untuned,
            stopped_by=ending.stopped_by if ending else None,
        )

    def agreed(self) -> Sequence[Step]:
        """The steps with which all beams begin."""
        first, *others = (beam.steps for beam in self._kept)
        pieces = [step.bytes for step in first]
        n_common = (common_prefix(pieces, [step.bytes for step in steps]) for steps in others)
        return first[: min(n_common, default=len(first))]

    def outcome(self, broken_off: StoppedBy | None) -> tuple[Sequence[Step], Ending]:
        """The steps of the best beam and how it ended.

        Args:
            broken_off: Why the search has ended before its beams have, if it has.
        """
        best = self._kept[0]
        if broken_off == "user" and best.ending is None:
            best = replace(best, steps=tuple(best.writing.steps), ending=best.writing.ending)
        if broken_off == "user" or best.ending is None:
            return best.steps, Ending(best.text, broken_off or "user")
        return best.steps, best.ending

    def record(self) -> SearchRecord:
        """How the answer was found."""
        return SearchRecord(str(self._size), tuple(self.chunks), self._kept[0].place)


def _text(steps: Sequence[Step]) -> bytes:
    return b"".join(step.bytes for step in steps)


def seed_of(seed: int, slot: int) -> int:
    """The seed of a sequence: the answer's own for the first, and others that follow from it."""
    if slot == 0:
        return seed
    return int(np.random.SeedSequence([seed, slot]).generate_state(1, np.uint64)[0]) >> 1
