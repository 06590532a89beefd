"""An answer while it grows.

Here: `AnswerStream`, which folds steps into a `Completion`, and what is counted and timed on the way.
Not here: the rule of an answer (`decode.respond`), prompts and signatures (`pair`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from blendin_local.core.methods import Role
from blendin_local.core.records import Completion, Step, Timings, Usage
from blendin_local.core.text import HoldBack
from blendin_local.decode.drive import drive
from blendin_local.decode.respond import Ending, respond
from blendin_local.decode.seat import Seat
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings


@dataclass(frozen=True)
class Settings:
    """Everything one answer was asked for with."""

    blend: BlendSettings
    sampling: SamplingSettings
    answer: AnswerSettings


class AnswerStream:
    """The steps of one answer as they are decided; iterate once, then read `completion`.

    It may be left early: the models are in step again at the next answer.

    Attributes:
        settings: What the answer was asked for with, the seed and the template's stop strings filled in.
        signature: Everything that decides which bytes the answer has.
    """

    def __init__(
        self,
        seats: Mapping[Role, Seat],
        settings: Settings,
        should_stop: Callable[[], bool],
        *,
        signature: Mapping[str, Any],
        notices: tuple[str, ...] = (),
        load_ms: float = 0.0,
    ) -> None:
        self.settings = settings
        self.signature = signature
        self._seats = seats
        self._should_stop = should_stop
        self._notices = notices
        self._load_ms = load_ms
        self._completion: Completion | None = None
        self._running = self._run()

    def __iter__(self) -> Iterator[Step]:
        return self._running

    def shown(self) -> Iterator[tuple[Step, str]]:
        """Steps with the text that may be shown: a stop string that may be beginning is held back."""
        hold = HoldBack(self.settings.answer.stop)
        for step in self:
            yield from hold.feed(step)
        yield from hold.flush()

    @property
    def completion(self) -> Completion:
        """The finished answer. RuntimeError before the iteration has ended."""
        if self._completion is None:
            raise RuntimeError("the answer is not finished: iterate over the stream first")
        return self._completion

    def _run(self) -> Iterator[Step]:
        settings, watch = self.settings, _Watch(self._seats)
        answer = respond(settings.blend, settings.sampling, settings.answer)
        ending = yield from watch.follow(drive(answer, self._seats, self._should_stop))
        for seat in self._seats.values():
            seat.finish(ending.text)
        self._completion = Completion(
            text=ending.text.decode(),
            steps=tuple(watch.steps),
            stopped_by=ending.stopped_by,
            end=ending.end,
            usage=watch.usage(),
            timings=watch.timings(self._load_ms),
            signature=self.signature,
            notices=self._notices,
        )


class _Watch:
    """Counts and times one answer."""

    def __init__(self, seats: Mapping[Role, Seat]) -> None:
        self.steps: list[Step] = []
        self._seats = seats
        self._before = {role: replace(seat.context.tally) for role, seat in seats.items()}
        self._started = perf_counter()
        self._first_step_s = self._total_s = 0.0

    def follow(self, running: Generator[Step, None, Ending]) -> Generator[Step, None, Ending]:
        """Pass the steps on and remember them."""
        while True:
            try:
                step = next(running)
            except StopIteration as finished:
                self._total_s = perf_counter() - self._started
                ending: Ending = finished.value
                return ending
            self._first_step_s = self._first_step_s or perf_counter() - self._started
            self.steps.append(step)
            yield step

    def usage(self) -> Usage:
        """Tokens of the prompts, and tokens evaluated since the start."""
        prompts = {f"{role}_prompt_tokens": seat.lane.n_prompt for role, seat in self._seats.items()}
        evaluated = {
            f"{role}_tokens_evaluated": seat.context.tally.tokens - self._before[role].tokens
            for role, seat in self._seats.items()
        }
        return Usage(**prompts, **evaluated)

    def timings(self, load_ms: float) -> Timings:
        """Milliseconds; reading prompts and generating add up to the whole."""
        prompt_s = sum(seat.prompt_s for seat in self._seats.values())
        decode_s = sum(
            seat.context.tally.decode_s - self._before[role].decode_s for role, seat in self._seats.items()
        )
        return Timings(
            load_ms=load_ms,
            prompt_ms=prompt_s * 1000,
            generation_ms=(self._total_s - prompt_s) * 1000,
            llama_decode_ms=decode_s * 1000,
            first_step_ms=self._first_step_s * 1000,
        )
