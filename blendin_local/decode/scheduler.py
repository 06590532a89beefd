"""Many answers at once, in shared batches.

Here: `answer_many`, a second driver over the same `respond` and the same role contexts. In each round it runs
the
base's open questions of all active answers in one `llama_decode`, then the guide's in one. An answer that
ends hands its slot to the next request.
Not here: the rule of an answer (`decode.respond`), which tokens share a batch (`engine.context`).

A prompt is read a prefill chunk a round, in the batches in which others write: a long one delays nobody by
more
than the prefill chunks that fit into one batch, and no call is spent on prompts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.methods import Role
from blendin_local.core.records import Completion
from blendin_local.decode.driver import Generation
from blendin_local.decode.request import PreparedRequest, RoleContexts, start_request
from blendin_local.decode.role_context import RoleContext
from blendin_local.decode.stats import GenerationStats
from blendin_local.engine.context import StoppedError
from blendin_local.errors import BlendinError, ContextFullError, UnforeseenError

Item = TypeVar("Item")
Result = Completion | BlendinError

ROLE_ORDER: tuple[Role, ...] = ("base", "guide", "untuned")  # a step's later questions run in the same round


def answer_many(
    item: Iterable[Item],
    prepare: Callable[[Item], PreparedRequest],
    slots: Sequence[RoleContexts],
    should_stop: Callable[[], bool] = lambda: False,
    after_round: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Item, Result]]:
    """Answer what is item, as many at a time as there are slots.

    Args:
        item: Taken one by one, whenever a slot is free.
        prepare: Turns one into a request; what it raises is that one's result and disturbs no other.
        slots: Seats of one conversation each.
        should_stop: Polled every round and during evaluations. Live answers then end as they are.
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


class ActiveRequest(Generic[Item]):
    """One answer among the others."""

    def __init__(self, item: Item, request: PreparedRequest, number: int, slot: RoleContexts) -> None:
        self.item = item
        self.number = number
        self.role_contexts = start_request(request, slot, fresh=True)
        self.error: BlendinError | None = None
        self._stats = GenerationStats(request, self.role_contexts)
        self._generation = Generation(request.start(), self.role_contexts)

    def role_context_for(self, role: Role) -> RoleContext | None:
        """The role context of `role`, brought to the text of the open question, if it is this role's."""
        question = self._generation.question
        if question is None or question.role != role or self.error:
            return None
        role_context = self.role_contexts[role]
        try:
            role_context.prepare(question.text)
        except ContextFullError as full:
            self._end_full(full)
            return None
        return role_context

    def _end_full(self, full: ContextFullError) -> None:
        try:
            self._generation.stop_full(full)
        except ContextFullError as error:
            self.error = error

    def receive(self, role_context: RoleContext, logits: NDArray[np.float32]) -> None:
        """Go on with the answer to the open question."""
        try:
            for step in self._generation.feed(role_context.receive(logits)):
                self._stats.note(step)
        except BlendinError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - a night's work must not end with one row's bug
            self.error = UnforeseenError(error)

    def stop(self) -> None:
        """End where the user stopped."""
        self._generation.stop("user")

    @property
    def ended(self) -> bool:
        """Whether there is a result."""
        return self.error is not None or self._generation.question is None

    def result(self) -> Result:
        """What came of it."""
        return self.error or self._stats.close(self._generation.ending)


class Scheduler(Generic[Item]):
    """The active answers and the slots they sit in."""

    def __init__(self, slots: Sequence[RoleContexts], prepare: Callable[[Item], PreparedRequest]) -> None:
        self.free = list(range(len(slots)))
        self.active: list[ActiveRequest[Item]] = []  # in order of arrival
        self._slots = slots
        self._prepare = prepare
        self._results: list[tuple[Item, Result]] = []

    def add(self, item: Item) -> None:
        """Give one a slot, or an error."""
        number = min(self.free)  # the numbers in use stay dense, as batches want them
        try:
            self.active.append(ActiveRequest(item, self._prepare(item), number, self._slots[number]))
        except BlendinError as error:
            self._results.append((item, error))
        except Exception as error:  # noqa: BLE001 - as in `ActiveRequest.receive`
            self._results.append((item, UnforeseenError(error)))
        else:
            self.free.remove(number)

    def step(self, should_stop: Callable[[], bool]) -> None:
        """Answer the open questions of all, the base's first.

        Raises:
            StoppedError: `should_stop` became true; every answer is as far as it got.
        """
        for role in ROLE_ORDER:
            role_contexts = {
                active: role_context
                for active in self.active
                if (role_context := active.role_context_for(role))
            }
            if role_contexts:
                self._ask(role, role_contexts, should_stop)

    def _ask(
        self,
        role: Role,
        role_contexts: Mapping[ActiveRequest[Item], RoleContext],
        should_stop: Callable[[], bool],
    ) -> None:
        """One batch for one role; who has not read all of its prompt stays with its question.

        A prompt's last token is read apart. For a helper that happens at once: an answer that waits for the
        guide is missing among those that ask the base, and a full batch costs less than one with a gap.
        """
        context = next(iter(role_contexts.values())).context
        waiting = dict(role_contexts)
        while waiting:
            readers = [role_context for role_context in waiting.values() if role_context.reads_prompt]
            started = perf_counter()
            ready = context.advance([role_context.sequence for role_context in waiting.values()], should_stop)
            elapsed = perf_counter() - started
            for role_context in readers:
                role_context.prompt_s += elapsed
            answered = {
                active: role_context
                for active, role_context in waiting.items()
                if role_context.sequence in ready
            }
            for active, role_context in answered.items():
                active.receive(role_context, ready[role_context.sequence])
            waiting = {
                active: role_context
                for active, role_context in waiting.items()
                if active not in answered and role != "base" and not role_context.sequence.in_prompt
            }

    def stop(self) -> None:
        """End all that have not ended."""
        for active in self.active:
            if not active.ended:
                active.stop()

    def finished(self) -> Iterator[tuple[Item, Result]]:
        """What has a result, its slot free again."""
        for active in [active for active in self.active if active.ended]:
            self.active.remove(active)
            self.free.append(active.number)
            self._results.append((active.item, active.result()))
        results, self._results = self._results, []
        yield from results
