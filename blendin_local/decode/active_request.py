"""One answer among many that share batches, and one round of evaluations for all of them.

Here: `ActiveRequest`, an answer in progress; `run_round`, which runs the open questions of many to the base
in one `llama_decode`, then those to each guide, and so on.
Not here: which requests are active (`decode.scheduler`, `decode.search`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from time import perf_counter
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.distribution import Prediction
from blendin_local.core.records import Completion, Step
from blendin_local.core.roles import ROLES, Role
from blendin_local.decode.driver import Generation
from blendin_local.decode.request import PreparedRequest, RoleContexts
from blendin_local.decode.respond import Ending, Question
from blendin_local.decode.role_context import RoleContext, by_context
from blendin_local.decode.stats import GenerationStats
from blendin_local.errors import BlendinError, ContextFullError, UnforeseenError

Item = TypeVar("Item")
Result = Completion | BlendinError


class ActiveRequest(Generic[Item]):
    """One answer in progress.

    Args:
        item: What the caller knows it by.
        request: What is to be answered.
        number: The number of its slot.
        role_contexts: Those of its slot, started for the request.
        events: Is told of every step.

    Attributes:
        pause_at: After so many steps it waits until the number is raised; None for no pause.
    """

    def __init__(
        self,
        item: Item,
        request: PreparedRequest,
        number: int,
        role_contexts: RoleContexts,
        events: RequestEvents[Item],
    ) -> None:
        self.item = item
        self.number = number
        self.role_contexts = role_contexts
        self.pause_at: int | None = None
        self.error: BlendinError | None = None
        self._events = events
        self._drafter = request.drafter(self.role_contexts)
        self._draft: list[int] = []
        self._stats = GenerationStats(request, self.role_contexts, self._drafter)
        self._generation = Generation(request.start(self.role_contexts), self.role_contexts)
        for step in self._generation.start:
            self._stats.note(step)
            events.step(item, step)

    @property
    def steps(self) -> Sequence[Step]:
        """The steps so far."""
        return self._stats.steps

    @property
    def waits(self) -> bool:
        """Whether nothing is to be evaluated for it: it has ended, or pauses."""
        return self._question is None

    @property
    def _question(self) -> Question | None:
        """The open question; None where there is none, or it waits."""
        pauses = self.pause_at is not None and len(self.steps) >= self.pause_at
        return None if pauses or self.error else self._generation.question

    def role_context_for(self, role: Role) -> RoleContext | None:
        """The context of `role`, synced to the open question's text; None if the question is not for it."""
        question = self._question
        if question is None or question.role != role:
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
        question = self._question
        return (
            self._drafter is not None
            and question is not None
            and self.role_contexts[question.role] is self._drafter.checked
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
        question = self._question
        return None if question is None else self.role_contexts[question.role].known(question.text)

    def stop(self) -> None:
        """End because the user stopped."""
        if not self.ended:
            self._generation.stop("user")

    def report_progress(self) -> None:
        """Tell how much of the prompts is read, while that is going on."""
        question = self._question
        if question is not None and self.role_contexts[question.role].reads_prompt:
            sequence = self.role_contexts[question.role].sequence
            self._events.progress(self.item, question.role, sequence.n_valid, sequence.n_prompt)

    @property
    def ended(self) -> bool:
        """Whether there is a result."""
        return self.error is not None or self._generation.question is None

    @property
    def ending(self) -> Ending | None:
        """How the answer ended; None while it goes on."""
        return self._generation.ending if self._generation.question is None else None

    def read_prompt(self, should_stop: Callable[[], bool]) -> None:
        """Read the prompt of the model that is asked first, but for its last token."""
        question = self._question
        if question is not None:
            self.role_contexts[question.role].read_prompt(should_stop)

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


Active = ActiveRequest[Any]


def run_round(
    requests: Sequence[Active], free_slots: Sequence[RoleContexts], should_stop: Callable[[], bool]
) -> None:
    """Answer the open questions of all requests, those to the base first.

    Args:
        requests: In order of arrival.
        free_slots: Role contexts that no answer uses; they may fill up a batch.
        should_stop: Polled during evaluations.

    Raises:
        StoppedError: `should_stop` became true; every answer is as far as it got.
    """
    _draft(requests, should_stop)
    for role in ROLES:  # a step's later questions run in the same round
        role_contexts = {
            request: role_context for request in requests if (role_context := request.role_context_for(role))
        }
        for together in by_context(role_contexts):
            _ask(role, together, [slot[role] for slot in free_slots], should_stop)
    for request in requests:
        request.report_progress()


def _draft(requests: Sequence[Active], should_stop: Callable[[], bool]) -> None:
    """Let all answers decide on their drafts; what the guide is to read for them is read in batches."""
    drafting = [active for active in requests if active.may_draft]
    if not drafting:
        return
    n_together = len(requests)
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
    role: Role,
    role_contexts: Mapping[Active, RoleContext],
    free: Sequence[RoleContext],
    should_stop: Callable[[], bool],
) -> None:
    """Run open questions of one role in one context; an unread prompt keeps its question open.

    The last token of a prompt is evaluated separately. For roles other than the base that happens at
    once: an answer that waits for the guide would be missing from the base's next batch.
    """
    context = next(iter(role_contexts.values())).context
    spare = [each.sequence for each in free if each.context is context]
    waiting = dict(role_contexts)
    while waiting:
        counters = [each.sequence.counter for each in waiting.values() if each.reads_prompt]
        started = perf_counter()
        unread = [role_context.sequence for role_context in waiting.values()]
        ready = context.advance(unread, should_stop, spare)
        elapsed = perf_counter() - started
        for counter in {id(counter): counter for counter in counters}.values():  # some may be shared
            counter.prompt_s += elapsed
        answered = {
            active: role_context for active, role_context in waiting.items() if role_context.sequence in ready
        }
        for active, role_context in answered.items():
            active.receive(role_context, ready[role_context.sequence])
        waiting = {
            active: role_context
            for active, role_context in waiting.items()
            if active not in answered and role != "base" and not role_context.sequence.in_prompt
        }
