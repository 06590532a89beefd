"""Continuous batching: many answers at once, in shared batches.

Here: `Scheduler`, a second driver over the same `respond` and the same role contexts, and `answer_many`,
which runs it over a known list of requests. An answer that ends frees its slot for the next request.
Not here: one round of evaluations (`decode.active_request`), requests that come and go while it runs
(`decode.inference_thread`), how an answer is made (`decode.respond`), which tokens share a batch
(`engine.context`).

A prompt is read one prefill chunk per round, in the batches in which other answers decode. A long prompt
delays the others by at most the prefill chunks that fit into one batch, and no call is spent on
prompts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from blendin_local.core.roles import ROLES
from blendin_local.decode.active_request import ActiveRequest, RequestEvents, Result, run_round
from blendin_local.decode.request import PreparedRequest, RoleContexts, start_request
from blendin_local.engine.context import StoppedError
from blendin_local.errors import BlendinError, UnforeseenError

Item = TypeVar("Item")

MIN_HELD_CHARS = 32  # of a prompt; what every prompt begins with is no reason to take a conversation's slot


def answer_many(
    item: Iterable[Item],
    prepare: Callable[[Item], PreparedRequest],
    slots: Sequence[RoleContexts],
    should_stop: Callable[[], bool] = lambda: False,
    after_round: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Item, Result]]:
    """Answer requests, as many at a time as there are slots.

    Args:
        item: Taken one by one, whenever a slot is free.
        prepare: Prepares a request; an error it raises is the result of that request alone.
        slots: The role contexts of one conversation each.
        should_stop: Polled every round and during evaluations. Active answers then end as they are.
        after_round: Called after every round.

    Yields:
        Everything taken, with its answer or its error, in the order of finishing.
    """
    scheduler: Scheduler[Item] = Scheduler(slots, prepare)
    waiting = iter(item)
    while True:
        stopped = should_stop()
        while scheduler.free and not stopped:
            try:
                one = next(waiting)
            except StopIteration:
                break
            try:
                scheduler.add(one)
            except KeyboardInterrupt:  # while the guide's template ran
                if not should_stop():
                    raise
                break
            yield from scheduler.finished()
        if not scheduler.active:
            return
        try:
            if stopped:
                raise StoppedError
            scheduler.step(should_stop)
        except StoppedError:
            scheduler.stop()
        after_round()
        yield from scheduler.finished()


class Scheduler(Generic[Item]):
    """The active answers and the slots they use.

    Args:
        slots: The role contexts of one conversation each.
        prepare: Prepares a request.
        events: Is told of every step.
        is_cancelled: Asked between steps; a cancelled answer ends as it is and frees its slot.
        fresh: Whether no answer may depend on an earlier one. If not, a request gets the slot whose
            conversation it continues, or shares most with.
    """

    def __init__(
        self,
        slots: Sequence[RoleContexts],
        prepare: Callable[[Item], PreparedRequest],
        events: RequestEvents[Item] | None = None,
        is_cancelled: Callable[[Item], bool] = lambda _: False,
        *,
        fresh: bool = True,
    ) -> None:
        self.free = list(range(len(slots)))
        self.active: list[ActiveRequest[Item]] = []  # in order of arrival
        self._slots = slots
        self._prepare = prepare
        self._events = events or RequestEvents()
        self._is_cancelled = is_cancelled
        self._fresh = fresh
        self._last_used = [0] * len(slots)
        self._n_added = 0
        self._results: list[tuple[Item, Result]] = []

    def add(self, item: Item) -> None:
        """Start a request in a free slot; an error becomes its result."""
        try:
            request = self._prepare(item)
            number = self._choose_slot(request)
            role_contexts = start_request(request, self._slots[number], fresh=self._fresh)
            self.active.append(ActiveRequest(item, request, number, role_contexts, self._events))
        except BlendinError as error:
            self._results.append((item, error))
        except Exception as error:  # noqa: BLE001 - as in `ActiveRequest.receive`
            self._results.append((item, UnforeseenError(error)))
        else:
            self.free.remove(number)
            self._n_added += 1
            self._last_used[number] = self._n_added

    def _choose_slot(self, request: PreparedRequest) -> int:
        """The free slot that holds most of the prompts; of several such, the one that was used longest ago.

        Where answers must not depend on earlier ones, the first: the numbers in use then stay dense, as
        batches want them.
        """
        if self._fresh:
            return min(self.free, key=self._sequence_numbers)

        def held(number: int) -> int:
            slot = self._slots[number]
            return sum(slot[role].held_chars(prompt) for role, prompt in request.prompts.items())

        most = max(map(held, self.free))
        enough = most if most >= MIN_HELD_CHARS else 0
        return min((n for n in self.free if held(n) >= enough), key=lambda n: (self._last_used[n], n))

    def _sequence_numbers(self, number: int) -> list[int]:
        slot = self._slots[number]
        return [slot[role].sequence.seq_id for role in ROLES if role in slot]

    def _close_gaps(self) -> None:
        """Have all answers evaluated at once, where nothing that the free slots hold is needed."""
        if self._fresh and self.free and self.active:
            in_use = [slot for number, slot in enumerate(self._slots) if number not in self.free]
            for role, role_context in in_use[0].items():
                role_context.context.close_gaps([slot[role].sequence for slot in in_use])

    def step(self, should_stop: Callable[[], bool]) -> None:
        """Answer the open questions of all active answers, those to the base first.

        Raises:
            StoppedError: `should_stop` became true; every answer is as far as it got.
        """
        for active in self.active:
            if self._is_cancelled(active.item):
                active.stop()
        self._close_gaps()
        run_round(self.active, [self._slots[number] for number in self.free], should_stop)

    def reserve(self) -> int:
        """Take a free slot for something that is no answer, until `release`: the one used longest ago."""
        number = min(self.free, key=lambda free: (self._last_used[free], free))
        self.free.remove(number)
        return number

    def release(self, number: int) -> None:
        """Give a reserved slot back."""
        self.free.append(number)

    def fail(self, error: BlendinError) -> None:
        """End all active answers with an error."""
        for active in self.active:
            active.error = active.error or error

    def stop(self) -> None:
        """End all active answers."""
        for active in self.active:
            active.stop()

    def finished(self) -> Iterator[tuple[Item, Result]]:
        """Results of finished requests, whose slots are free again."""
        for active in [active for active in self.active if active.ended]:
            self.active.remove(active)
            self.free.append(active.number)
            self._results.append((active.item, active.result()))
        results, self._results = self._results, []
        yield from results
