"""An answer while it grows.

Here: `AnswerStream`: one prepared request, run step by step under its lease.
Not here: the rule of an answer (`decode.respond`), token counts and timings (`decode.stats`),
leases (`decode.pair_lock`), prompts and signatures (`pair`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from blendin_local.core.records import Completion, Step
from blendin_local.core.text import StopStringBuffer
from blendin_local.decode.driver import drive
from blendin_local.decode.pair_lock import Lease, PairLock
from blendin_local.decode.request import PreparedRequest, RoleContexts, start_request
from blendin_local.decode.respond import Ending
from blendin_local.decode.stats import GenerationStats


class AnswerStream:
    """The steps of one answer as they are decided; iterate once, then read `completion`.

    Iteration may stop early: the next answer brings the models back in step. Another answer of the same pair
    ends this one, and continuing it raises `PairError`. An answer that has not begun is not affected.

    Args:
        request: What is to be answered.
        slot: The role contexts of one conversation.
        should_stop: Polled between steps and during long evaluations.
        lock: The lock of the role contexts' pair.

    Attributes:
        settings: What the answer was asked for with, the seed and the template's stop strings filled in.
        signature: Everything that decides which bytes the answer has.

    Raises:
        ContextFullError: A prompt is longer than its context.
        UsageError: A prompt is empty.
        PairError: Another answer is being made, or the pair is closed.
    """

    def __init__(
        self, request: PreparedRequest, slot: RoleContexts, should_stop: Callable[[], bool], lock: PairLock
    ) -> None:
        self.settings = request.settings
        self._request = request
        self._slot = slot
        self._should_stop = lock.stop_when_closing(should_stop)
        self._lock = lock
        self._completion: Completion | None = None
        self._running: Generator[Step, None, Completion] | None = None
        self._lease: Lease | None = self._acquire()
        self.signature = request.signed(slot)

    def _acquire(self) -> Lease:
        lease = self._lock.acquire()
        with self._lock.running(lease):
            start_request(self._request, self._slot)
        return lease

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        if self._lease is None:
            raise StopIteration
        if self._running is None and not self._lock.is_current(self._lease):
            self._lease = self._acquire()  # another answer was made since this one was asked for
        with self._lock.running(self._lease):
            if self._running is None:
                self._running = _run(self._request, self._slot, self._should_stop)
            try:
                return next(self._running)
            except BaseException as ending:
                if isinstance(ending, StopIteration):
                    self._completion = ending.value
                self._lease = None
                raise

    def shown(self) -> Iterator[tuple[Step, str]]:
        """Steps with the text that may be shown: a stop string that may be beginning is held back."""
        hold = StopStringBuffer(self.settings.answer.stop)
        for step in self:
            yield from hold.feed(step)
        yield from hold.flush()

    @property
    def completion(self) -> Completion:
        """The finished answer. RuntimeError before the iteration has ended."""
        if self._completion is None:
            raise RuntimeError("the answer is not finished: iterate over the stream first")
        return self._completion

    def close(self) -> None:
        """Give up the answer, so that another thread may ask; calling it twice is harmless."""
        self._lease = None


def _run(
    request: PreparedRequest, slot: RoleContexts, should_stop: Callable[[], bool]
) -> Generator[Step, None, Completion]:
    """The steps of a started answer; a function, so that a stream does not refer to itself."""
    role_contexts = {role: slot[role] for role in request.prompts}
    stats = GenerationStats(request, role_contexts)
    running = drive(request.start(role_contexts), role_contexts, should_stop)
    while True:
        try:
            step = next(running)
        except StopIteration as finished:
            ending: Ending = finished.value
            break
        stats.note(step)
        yield step
    for role_context in role_contexts.values():
        role_context.finish(ending.text)
    return stats.close(ending)
