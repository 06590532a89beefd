"""Continuous batching: many answers at once, in shared batches.

Here: `Scheduler`, a second driver over the same `respond` and the same role contexts, and `answer_many`,
which runs it over a known list of requests. Each round runs the open questions of all active answers to the
base in one `llama_decode`, then those to each guide. An answer that ends frees its slot for the next request.
Not here: requests that come and go while it runs (`decode.inference_thread`), how an answer is made
(`decode.respond`), which tokens share a batch (`engine.context`).

A prompt is read one prefill chunk per round, in the batches in which other answers decode. A long prompt
delays the others by at most the prefill chunks that fit into one batch, and no call is spent on
prompts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.distribution import Prediction
from blendin_local.core.methods import Role
from blendin_local.core.records import Completion, Step
from blendin_local.core.roles import ROLES
from blendin_local.decode.driver import Generation
from blendin_local.decode.request import PreparedRequest, RoleContexts, start_request
from blendin_local.decode.role_context import RoleContext, by_context
from blendin_local.decode.stats import GenerationStats
from blendin_local.engine.context import StoppedError
from blendin_local.errors import BlendinError, ContextFullError, UnforeseenError

Item = TypeVar("Item")
Result = Completion | BlendinError

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


class ActiveRequest(Generic[Item]):
    """One answer in progress."""

    def __init__(
        self,
        item: Item,
        request: PreparedRequest,
        number: int,
        slot: RoleContexts,
        events: RequestEvents[Item],
        *,
        fresh: bool,
    ) -> None:
        self.item = item
        self.number = number
        self.role_contexts = start_request(request, slot, fresh=fresh)
        self.error: BlendinError | None = None
        self._events = events
        self._drafter = request.drafter(self.role_contexts)
        self._draft: list[int] = []
        self._stats = GenerationStats(request, self.role_contexts, self._drafter)
        self._generation = Generation(request.start(self.role_contexts), self.role_contexts)
        for step in self._generation.start:
            self._stats.note(step)
            events.step(item, step)

    def role_context_for(self, role: Role) -> RoleContext | None:
        """The context of `role`, synced to the open question's text; None if the question is not for it."""
        question = self._generation.question
        if question is None or question.role != role or self.error:
            return None
        role_context = self.role_contexts[role]
        try:
            role_context.prepare(question.text, self._draft)
        except ContextFullError as full:
            self._end_full(full)
            return None
        self._draft = []
        return role_context

    @property
    def may_draft(self) -> bool:
        """Whether its open question is one that a draft can be evaluated with."""
        question = self._generation.question
        return (
            self._drafter is not None
            and question is not None
            and self.role_contexts[question.role] is self._drafter.checked
            and not self.error
        )

    @property
    def max_rows(self) -> int:
        """How many tokens the model that checks its drafts can evaluate at once."""
        assert self._drafter is not None, "it may draft"
        return self._drafter.checked.context.max_rows

    def draft(self, n_together: int, room: int) -> Generator[RoleContext, None, None]:
        """Decide on the draft of the next evaluation; arguments and what is yielded: `Drafter.propose`."""
        drafter, question = self._drafter, self._generation.question
        if drafter is not None and question is not None:
            self._draft = yield from drafter.propose(question.text, n_together, room)

    def _end_full(self, full: ContextFullError) -> None:
        try:
            self._generation.stop_full(full)
        except ContextFullError as error:
            self.error = error

    def receive(self, role_context: RoleContext, rows: Sequence[NDArray[np.float32]]) -> None:
        """Continue with the logits that answer the open question, as far as what was read ahead goes."""
        role_context.receive(rows)
        prediction: Prediction | None = role_context.latest()
        try:
            while prediction is not None:
                for step in self._generation.feed(prediction):
                    self._stats.note(step)
                    self._events.step(self.item, step)
                prediction = self._known()
        except BlendinError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - one row's bug must not end the whole run
            self.error = UnforeseenError(error)
        else:
            role_context.keep_ahead()  # the next evaluation of other answers takes the place of these logits

    def _known(self) -> Prediction | None:
        """The answer to the open question, if it was read ahead."""
        question = self._generation.question
        return None if question is None else self.role_contexts[question.role].known(question.text)

    def stop(self) -> None:
        """End because the user stopped."""
        if not self.ended:
            self._generation.stop("user")

    def report_progress(self) -> None:
        """Tell how much of the prompts is read, while that is going on."""
        question = self._generation.question
        if question is not None and self.role_contexts[question.role].reads_prompt:
            sequence = self.role_contexts[question.role].sequence
            self._events.progress(self.item, question.role, sequence.n_valid, sequence.n_prompt)

    @property
    def ended(self) -> bool:
        """Whether there is a result."""
        return self.error is not None or self._generation.question is None

    def result(self) -> Result:
        """The completion or the error."""
        if self.error is not None:
            return self.error
        ending = self._generation.ending
        for role_context in self.role_contexts.values():
            role_context.finish(ending.text)
        return self._stats.close(ending)


class RequestEvents(Generic[Item]):
    """What a scheduler tells of its requests while they are answered; this one keeps it to itself."""

    def step(self, item: Item, step: Step) -> None:
        """A step of the request's answer was decided."""

    def progress(self, item: Item, role: Role, n_read: int, n_prompt: int) -> None:
        """So many tokens of a role's prompt are read."""


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
            active = ActiveRequest(
                item, request, number, self._slots[number], self._events, fresh=self._fresh
            )
            self.active.append(active)
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
        self._draft(should_stop)
        for role in ROLES:  # a step's later questions run in the same round
            role_contexts = {
                active: role_context
                for active in self.active
                if (role_context := active.role_context_for(role))
            }
            for together in by_context(role_contexts):
                self._ask(role, together, should_stop)
        for active in self.active:
            active.report_progress()

    def _draft(self, should_stop: Callable[[], bool]) -> None:
        """Let all answers decide on their drafts; what the guide is to read for them is read in batches."""
        drafting = [active for active in self.active if active.may_draft]
        if not drafting:
            return
        n_together = len(self.active)
        room = (drafting[0].max_rows - n_together) // len(drafting)
        proposals = {active: active.draft(n_together, room) for active in drafting}
        while waiting := {active: guide for active in proposals if (guide := next(proposals[active], None))}:
            proposals = {active: proposals[active] for active in waiting}
            unread = {guide.sequence: guide for guide in waiting.values()}
            while unread:
                context = next(iter(unread.values())).context
                for sequence, rows in context.advance(list(unread), should_stop).items():
                    guide = unread.pop(sequence)
                    guide.receive(rows)
                    guide.keep_ahead()  # others may still have to read their prompts

    def _ask(
        self,
        role: Role,
        role_contexts: Mapping[ActiveRequest[Item], RoleContext],
        should_stop: Callable[[], bool],
    ) -> None:
        """Run open questions of one role in one context; an unread prompt keeps its question open.

        The last token of a prompt is evaluated separately. For roles other than the base that happens at
        once: an answer that waits for the guide would be missing from the base's next batch.
        """
        context = next(iter(role_contexts.values())).context
        free = (self._slots[number][role] for number in self.free)
        spare = [each.sequence for each in free if each.context is context]
        waiting = dict(role_contexts)
        while waiting:
            readers = [role_context for role_context in waiting.values() if role_context.reads_prompt]
            started = perf_counter()
            unread = [role_context.sequence for role_context in waiting.values()]
            ready = context.advance(unread, should_stop, spare)
            elapsed = perf_counter() - started
            for role_context in readers:
                role_context.sequence.counter.prompt_s += elapsed
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
