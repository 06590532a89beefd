"""An answer while it grows.

Here: `AnswerStream`: one prepared request, run step by step under its lease, for `for` and `async for`.
Not here: the rule of an answer (`decode.respond`), token counts and timings (`decode.stats`),
leases (`decode.pair_lock`), prompts and signatures (`pair`).
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from blendin_local.core.beams import SearchRecord
from blendin_local.core.records import Completion, Step
from blendin_local.core.text import StopStringBuffer
from blendin_local.decode.drafter import Drafter
from blendin_local.decode.driver import drive
from blendin_local.decode.pair_lock import Lease, PairLock
from blendin_local.decode.request import PreparedRequest, RoleContexts, start_request
from blendin_local.decode.respond import Ending
from blendin_local.decode.role_context import PromptReading
from blendin_local.decode.search import search
from blendin_local.decode.stats import GenerationStats

Item = TypeVar("Item")
_FINISHED = object()


class AnswerStream:
    """The steps of one answer as they are decided; iterate once, then read `completion`.

    Iteration may stop early: the next answer brings the models back in step. Another answer of the same pair
    ends this one, and continuing it raises `PairError`. An answer that has not begun is not affected.
    With `async for` the models run in the executor's thread, so the event loop stays free; a cancelled task
    stops them within one step or one chunk of a prompt.

    Args:
        request: What is to be answered.
        slots: The role contexts of one conversation each; only a search needs more than the first.
        should_stop: Polled between steps and during long evaluations.
        lock: The lock of the role contexts' pair.
        executor: Runs the steps of `async for`; None for the event loop's own.

    Attributes:
        settings: What the answer was asked for with, the seed and the template's stop strings filled in.
        signature: Everything that decides which bytes the answer has.
        n_start: How many steps the answer is begun with; they come first.

    Raises:
        ContextFullError: A prompt is longer than its context.
        UsageError: A prompt is empty.
        PairError: Another answer is being made, or the pair is closed.
    """

    def __init__(
        self,
        request: PreparedRequest,
        slots: Sequence[RoleContexts],
        should_stop: Callable[[], bool],
        lock: PairLock,
        executor: Executor | None = None,
    ) -> None:
        self.settings = request.settings
        self.n_start = len(request.answer_start)
        self._request = request
        self._slot = slots[0]
        self._slots = slots
        self._cancelled = threading.Event()
        self._should_stop = _either(self._cancelled.is_set, lock.stop_when_closing(should_stop))
        self._lock = lock
        self._executor = executor
        self._stats: GenerationStats | None = None
        self._completion: Completion | None = None
        self._running: Generator[Step, None, Completion] | None = None
        self._lease: Lease | None = self._acquire()
        self.signature = request.signed(request.role_contexts(self._slot))

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
            if self._running is None or self._stats is None:
                role_contexts = self._request.role_contexts(self._slot)
                drafter = self._request.drafter(role_contexts)
                self._stats = GenerationStats(self._request, role_contexts, drafter)
                if self._request.settings.sampling.search:
                    steps: Steps = search(self._request, self._slots, self._should_stop)
                else:
                    steps = _plain(self._request, role_contexts, self._should_stop, drafter)
                self._running = _run(steps, role_contexts, self._stats)
            try:
                return next(self._running)
            except BaseException as ending:
                if isinstance(ending, StopIteration):
                    self._completion = ending.value
                else:
                    self._stats.stop_clock()
                self._lease = None
                raise

    def __aiter__(self) -> AsyncIterator[Step]:
        return self

    async def __anext__(self) -> Step:
        return await self._next_of(self)

    async def _next_of(self, items: Iterator[Item]) -> Item:
        """The next item, made in the executor's thread."""
        import asyncio  # noqa: PLC0415 - who does not wait for it need not import it

        asking = threading.current_thread()

        def make() -> object:
            try:
                return next(items, _FINISHED)
            finally:
                if self._lease is not None:
                    self._lease.thread = asking  # so that another answer of this thread may end this one

        made = asyncio.get_running_loop().run_in_executor(self._executor, make)
        try:
            item = await asyncio.shield(made)
        except asyncio.CancelledError:
            self._cancelled.set()
            await asyncio.wait([made])  # at most one step: then the pair is free for the next answer
            raise
        if item is _FINISHED:
            raise StopAsyncIteration
        return item  # type: ignore[return-value]

    def shown(self) -> ShownSteps:
        """Steps with the text that may be shown: a stop string that may be beginning is held back."""
        return ShownSteps(self, self._next_of)

    @property
    def completion(self) -> Completion:
        """The answer: the finished one, or as far as it got, `stopped_by` `user`.

        Raises:
            RuntimeError: Nobody has iterated over the stream.
        """
        if self._completion is not None:
            return self._completion
        if self._stats is None:
            raise RuntimeError("the answer has not begun: iterate over the stream first")
        return self._stats.so_far()

    @property
    def reading(self) -> PromptReading | None:
        """How far the model is that is reading its prompt now; None while none is.

        A base reads its prompt before the first step, a guide when it is asked for the first time. Another
        thread may look, to show it.
        """
        for role, context in self._request.role_contexts(self._slot).items():
            n_prompt = context.sequence.n_prompt
            if context.is_reading:
                return PromptReading(role, min(context.sequence.n_valid, n_prompt), n_prompt)
        return None

    def close(self) -> None:
        """Give up the answer, so that another thread may ask; calling it twice is harmless."""
        self._lease = None


class ShownSteps:
    """Steps with the text that may be shown, for `for` and `async for`.

    Args:
        stream: The answer.
        next_of: Makes the next item of an iterator in the thread of an executor.
    """

    def __init__(
        self,
        stream: AnswerStream,
        next_of: Callable[[Iterator[tuple[Step, str]]], Awaitable[tuple[Step, str]]],
    ) -> None:
        self._items = _held_back(stream, StopStringBuffer(stream.settings.answer.stop, stream.n_start))
        self._next_of = next_of

    def __iter__(self) -> Iterator[tuple[Step, str]]:
        return self

    def __next__(self) -> tuple[Step, str]:
        return next(self._items)

    def __aiter__(self) -> AsyncIterator[tuple[Step, str]]:
        return self

    async def __anext__(self) -> tuple[Step, str]:
        return await self._next_of(self._items)


def _held_back(steps: Iterable[Step], hold: StopStringBuffer) -> Iterator[tuple[Step, str]]:
    for step in steps:
        yield from hold.feed(step)
    yield from hold.flush()


def _either(first: Callable[[], bool], second: Callable[[], bool]) -> Callable[[], bool]:
    """Whether one of the two is true; it refers to nothing else, so a stream is freed when it is dropped."""
    return lambda: first() or second()


Steps = Generator[Step, None, tuple[Ending, SearchRecord | None]]


def _plain(
    request: PreparedRequest,
    role_contexts: RoleContexts,
    should_stop: Callable[[], bool],
    drafter: Drafter | None,
) -> Steps:
    """The steps of a started answer that is written in one sequence."""
    ending = yield from drive(request.start(role_contexts), role_contexts, should_stop, drafter)
    return ending, None


def _run(
    running: Steps, role_contexts: RoleContexts, stats: GenerationStats
) -> Generator[Step, None, Completion]:
    """The steps of an answer, noted; a function, so that a stream does not refer to itself."""
    while True:
        try:
            step = next(running)
        except StopIteration as finished:
            ending, found = finished.value
            break
        stats.note(step)
        yield step
    for role_context in role_contexts.values():
        role_context.finish(ending.text)
    return stats.close(ending, found)
