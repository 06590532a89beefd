"""Many answers at once, in shared batches.

Here: `answer_many`, a second driver over the same `respond` and the same seats. In each round it runs the
base's open questions of all live answers in one `llama_decode`, then the guide's in one. An answer that ends
hands its place to the next request.
Not here: the rule of an answer (`decode.respond`), which tokens share a batch (`engine.context`).

A prompt is read a portion a round, in the batches in which others write: a long one delays nobody by more
than the portions that fit into one batch, and no call is spent on prompts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.methods import Role
from blendin_local.core.records import Completion
from blendin_local.decode.driver import Writing
from blendin_local.decode.role_context import Seat
from blendin_local.decode.stats import Account
from blendin_local.decode.task import Seats, Task, sit_down
from blendin_local.engine.context import StoppedError
from blendin_local.errors import BlendinError, ContextFullError, UnforeseenError

Wanted = TypeVar("Wanted")
Result = Completion | BlendinError

IN_TURN: tuple[Role, ...] = ("base", "guide", "anti")  # a step's later questions run in the same round


def answer_many(
    wanted: Iterable[Wanted],
    prepare: Callable[[Wanted], Task],
    places: Sequence[Seats],
    should_stop: Callable[[], bool] = lambda: False,
    watch: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Wanted, Result]]:
    """Answer what is wanted, as many at a time as there are places.

    Args:
        wanted: Taken one by one, whenever a place is free.
        prepare: Turns one into a task; what it raises is that one's result and disturbs no other.
        places: Seats of one conversation each.
        should_stop: Polled every round and during evaluations. Live answers then end as they are.
        watch: Called after every round.

    Yields:
        Everything taken, with its answer or its error, in the order of finishing.
    """
    crowd: _Crowd[Wanted] = _Crowd(places, prepare)
    waiting = iter(wanted)
    while True:
        stopped = should_stop()
        while crowd.free and not stopped:
            try:
                one = next(waiting)
            except StopIteration:
                break
            try:
                crowd.admit(one)
            except KeyboardInterrupt:  # while the guide's template ran
                if not should_stop():
                    raise
                break
            yield from crowd.dismiss()
        if not crowd.live:
            return
        try:
            if stopped:
                raise StoppedError
            crowd.play_round(should_stop)
        except StoppedError:
            crowd.stop()
        watch()
        yield from crowd.dismiss()


class _Live(Generic[Wanted]):
    """One answer among the others."""

    def __init__(self, wanted: Wanted, task: Task, number: int, place: Seats) -> None:
        self.wanted = wanted
        self.number = number
        self.seats = sit_down(task, place, anew=True)
        self.error: BlendinError | None = None
        self._account = Account(task, self.seats)
        self._writing = Writing(task.answer(), self.seats)

    def asking(self, role: Role) -> Seat | None:
        """The seat of `role`, brought to the text of the open question, if it is this role's."""
        question = self._writing.question
        if question is None or question.role != role or self.error:
            return None
        seat = self.seats[role]
        try:
            seat.prepare(question.text)
        except ContextFullError as full:
            self._end_full(full)
            return None
        return seat

    def _end_full(self, full: ContextFullError) -> None:
        try:
            self._writing.break_off_full(full)
        except ContextFullError as error:
            self.error = error

    def hear(self, seat: Seat, logits: NDArray[np.float32]) -> None:
        """Go on with the answer to the open question."""
        try:
            for step in self._writing.take(seat.hear(logits)):
                self._account.note(step)
        except BlendinError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - a night's work must not end with one row's bug
            self.error = UnforeseenError(error)

    def stop(self) -> None:
        """End where the user stopped."""
        self._writing.break_off("user")

    @property
    def ended(self) -> bool:
        """Whether there is a result."""
        return self.error is not None or self._writing.question is None

    def result(self) -> Result:
        """What came of it."""
        return self.error or self._account.close(self._writing.ending)


class _Crowd(Generic[Wanted]):
    """The live answers and the places they sit in."""

    def __init__(self, places: Sequence[Seats], prepare: Callable[[Wanted], Task]) -> None:
        self.free = list(range(len(places)))
        self.live: list[_Live[Wanted]] = []  # in order of arrival
        self._places = places
        self._prepare = prepare
        self._results: list[tuple[Wanted, Result]] = []

    def admit(self, wanted: Wanted) -> None:
        """Give one a place, or an error."""
        number = min(self.free)  # the numbers in use stay dense, as batches want them
        try:
            self.live.append(_Live(wanted, self._prepare(wanted), number, self._places[number]))
        except BlendinError as error:
            self._results.append((wanted, error))
        except Exception as error:  # noqa: BLE001 - as in `_Live.hear`
            self._results.append((wanted, UnforeseenError(error)))
        else:
            self.free.remove(number)

    def play_round(self, should_stop: Callable[[], bool]) -> None:
        """Answer the open questions of all, the base's first.

        Raises:
            StoppedError: `should_stop` became true; every answer is as far as it got.
        """
        for role in IN_TURN:
            asking = {live: seat for live in self.live if (seat := live.asking(role))}
            if asking:
                self._ask(role, asking, should_stop)

    def _ask(self, role: Role, asking: Mapping[_Live[Wanted], Seat], should_stop: Callable[[], bool]) -> None:
        """One batch for one role; who has not read all of its prompt stays with its question.

        A prompt's last token is read apart. For a helper that happens at once: an answer that waits for the
        guide is missing among those that ask the base, and a full batch costs less than one with a gap.
        """
        context = next(iter(asking.values())).context
        waiting = dict(asking)
        while waiting:
            readers = [seat for seat in waiting.values() if seat.reads_prompt]
            started = perf_counter()
            ready = context.advance([seat.lane for seat in waiting.values()], should_stop)
            elapsed = perf_counter() - started
            for seat in readers:
                seat.prompt_s += elapsed
            answered = {live: seat for live, seat in waiting.items() if seat.lane in ready}
            for live, seat in answered.items():
                live.hear(seat, ready[seat.lane])
            waiting = {
                live: seat
                for live, seat in waiting.items()
                if live not in answered and role != "base" and not seat.lane.in_prompt
            }

    def stop(self) -> None:
        """End all that have not ended."""
        for live in self.live:
            if not live.ended:
                live.stop()

    def dismiss(self) -> Iterator[tuple[Wanted, Result]]:
        """What has a result, its place free again."""
        for live in [live for live in self.live if live.ended]:
            self.live.remove(live)
            self.free.append(live.number)
            self._results.append((live.wanted, live.result()))
        results, self._results = self._results, []
        yield from results
