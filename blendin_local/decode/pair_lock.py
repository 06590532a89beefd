"""Exclusive use of a pair: one answer at a time, and none after it is closed.

Here: `PairLock`, which every use of a pair's models goes through, and `Lease`, one answer's right to the
sequences.
Not here: what an answer does with its lease (`decode.stream`, `decode.scheduler`, `decode.scoring`).
Source: the design's rule "Whose turn it is". A lease ends with its answer, when the last reference to it is
dropped, or when the same thread begins another answer: an abandoned answer must not block the next one. It is
never taken from a thread that may still continue. Closing frees memory that another thread may be using in an
evaluation, so it asks that thread to stop, and waits.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from blendin_local.errors import PairError

Item = TypeVar("Item")
POLL_S = 0.05  # an interrupt may end a use without a notification


class Lease:
    """One answer's right to a pair's sequences; it lasts at most as long as something refers to it."""

    def __init__(self) -> None:
        self.thread = threading.current_thread()


class _Use(AbstractContextManager[None]):
    """A thread that is using the models; only its own frame refers to this, so it ends with the frame."""

    def __init__(self, lock: PairLock, lease: Lease | None) -> None:
        self.thread = threading.current_thread()
        self.lease = lease
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.enter(self)

    def __exit__(self, *_: object) -> None:
        self._lock.leave(self)
        if self.lease is not None:
            self._lock.require_open()  # if it broke off, it was because of that


class PairLock:
    """Grants leases on a pair, one at a time, until the pair is closed."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()
        self._change = threading.Condition(self._mutex)
        self._closed = False
        self._current: Callable[[], Lease | None] = lambda: None
        self._marks: set[weakref.ref[_Use]] = set()  # weak, for a frame may end without leaving

    @property
    def closed(self) -> bool:
        """Whether the models are freed, or about to be."""
        return self._closed

    def require_open(self) -> None:
        """Raise `PairError` where the pair is closed."""
        if self._closed:
            raise PairError("the pair is closed", "open it again, and close it after its last answer")

    def stop_when_closing(self, should_stop: Callable[[], bool]) -> Callable[[], bool]:
        """`should_stop`, which is also true once the pair is about to be closed."""
        return lambda: self._closed or should_stop()

    def acquire(self) -> Lease:
        """Grant a new lease; an unfinished one of this thread ends.

        Raises:
            PairError: The pair is closed, or another answer is being made: in another thread, or in this one,
                which calls from inside it.
        """
        with self._mutex:
            self.require_open()
            self._require_free()
            lease = Lease()
            self._current = weakref.ref(lease)
            return lease

    def _require_free(self) -> None:
        before, this_thread = self._current(), threading.current_thread()
        if any(use.lease and use.thread is this_thread for use in self._uses()):
            raise PairError(
                "this pair is in the middle of an answer, which this call comes from",
                "ask after that answer, or open a second pair",
            )
        if before is not None and before.thread is not this_thread and before.thread.is_alive():
            raise PairError(
                "another thread is making an answer with this pair",
                "wait until that answer is finished or closed, or open a pair for each thread",
            )

    def is_current(self, lease: Lease) -> bool:
        """Whether this lease still holds."""
        return self._current() is lease

    def using(self) -> AbstractContextManager[None]:
        """Within the block the models are not freed; no lease is needed."""
        return _Use(self, None)

    def running(self, lease: Lease) -> AbstractContextManager[None]:
        """Within the block only this lease uses the sequences.

        Raises:
            PairError: It is another answer's lease, or this one is being played; or the pair is closed,
                before the block or while it runs.
        """
        return _Use(self, lease)

    def _uses(self) -> list[_Use]:
        return [use for mark in self._marks if (use := mark()) is not None]

    def enter(self, use: _Use) -> None:
        """Begin a use."""
        with self._mutex:
            self.require_open()
            if use.lease is not None:
                self._require_lease(use.lease)
                use.lease.thread = use.thread
            self._marks.add(weakref.ref(use))

    def leave(self, use: _Use) -> None:
        """End a use."""
        with self._mutex:
            self._marks.discard(weakref.ref(use))
            if self._closed:
                self._change.notify_all()

    def _require_lease(self, lease: Lease) -> None:
        if not self.is_current(lease):
            raise PairError(
                "this answer cannot go on: another one was begun with this pair",
                "finish an answer before the next begins, use answer_all for many, or open a second pair",
            )
        if any(use.lease is lease for use in self._uses()):
            raise PairError(
                "this answer is being made already", "iterate over it in one place and one thread"
            )

    def iterate(self, make: Callable[[], Iterator[Item]]) -> Iterator[Item]:
        """What `make()` yields, all in one lease, which begins with the first item."""
        lease = self.acquire()
        items = make()
        while True:
            with self.running(lease):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    def close(self) -> None:
        """Grant no more leases, and wait until no thread uses the models.

        Raises:
            PairError: The call comes from inside an answer; nothing is closed.
        """
        with self._change:
            if any(use.thread is threading.current_thread() for use in self._uses()):
                raise PairError(
                    "a pair cannot be closed from inside its own answer", "close it after the answer"
                )
            self._closed = True
            while self._uses():
                self._change.wait(POLL_S)
