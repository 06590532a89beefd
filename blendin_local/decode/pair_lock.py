"""Whose lease it is: a pair makes one answer at a time, and does nothing after it is closed.

Here: `PairLock`, which every use of a pair's models goes through, and `Lease`, one answer's right to
sequences.
Not here: what an answer does in its lease (`decode.stream`, `decode.scheduler`, `decode.scoring`).
Source: design rule "Whose lease it is". A lease ends with its answer, or when nobody refers to it any more,
or when its own thread begins another answer: one that was left early must not block the next. It is never
taken from a thread that may still go on with it. llama.cpp frees what another thread is evaluating without
a word, so closing asks that thread to stop, and waits.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from blendin_local.errors import PairError

Item = TypeVar("Item")
POLL_S = 0.05  # an interrupt may leave a use behind, which then ends without a notification


class Lease:
    """One answer's right to a pair's sequences; it lasts as long as somebody refers to it, at most."""

    def __init__(self) -> None:
        self.thread = threading.current_thread()


class _Use:
    """A thread's stay among the models; referred to by its own frame alone, so that it ends with that."""

    def __init__(self, lease: Lease | None) -> None:
        self.thread = threading.current_thread()
        self.lease = lease


class PairLock:
    """The order of a pair's answers, and its end."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._closed = False
        self._current: Callable[[], Lease | None] = lambda: None
        self._uses: weakref.WeakSet[_Use] = weakref.WeakSet()

    @property
    def closed(self) -> bool:
        """Whether the models are gone, or about to go."""
        return self._closed

    def require_open(self) -> None:
        """Raise `PairError` where the pair is closed."""
        if self._closed:
            raise PairError("the pair is closed", "open it again, and close it after its last answer")

    def stop_when_closing(self, should_stop: Callable[[], bool]) -> Callable[[], bool]:
        """`should_stop`, which is also true once the pair is about to be closed."""
        return lambda: self._closed or should_stop()

    def acquire(self) -> Lease:
        """A new turn; the unfinished one of this thread is over.

        Raises:
            PairError: The pair is closed, or another answer is being made: in another thread, or in this one,
                which calls from inside it.
        """
        with self._change:
            self.require_open()
            self._require_free()
            lease = Lease()
            self._current = weakref.ref(lease)
            return lease

    def _require_free(self) -> None:
        before, here = self._current(), threading.current_thread()
        if any(use.lease and use.thread is here for use in self._uses):
            raise PairError(
                "this pair is in the middle of an answer, which this call comes from",
                "ask after that answer, or open a second pair",
            )
        if before is not None and before.thread is not here and before.thread.is_alive():
            raise PairError(
                "another thread is making an answer with this pair",
                "wait until that answer is finished or closed, or open a pair for each thread",
            )

    def is_current(self, lease: Lease) -> bool:
        """Whether it is still this one's lease."""
        return self._current() is lease

    @contextmanager
    def using(self) -> Iterator[None]:
        """Within the block the models are not freed; it need not be anybody's lease."""
        with self._entered(_Use(None)):
            yield

    @contextmanager
    def running(self, lease: Lease) -> Iterator[None]:
        """Within the block the sequences are this turn's.

        Raises:
            PairError: It is another answer's lease, or this one is being played; or the pair is closed,
                before the block or while it runs.
        """
        with self._entered(_Use(lease)):
            yield
        self.require_open()

    @contextmanager
    def _entered(self, use: _Use) -> Iterator[None]:
        with self._change:
            self.require_open()
            if use.lease is not None:
                self._require_lease(use.lease)
            self._uses.add(use)
        try:
            yield
        except BaseException:
            if use.lease is not None:
                self.require_open()  # it broke off because of that
            raise
        finally:
            with self._change:
                self._uses.discard(use)
                self._change.notify_all()

    def _require_lease(self, lease: Lease) -> None:
        if not self.is_current(lease):
            raise PairError(
                "this answer cannot go on: another one was begun with this pair",
                "finish an answer before the next begins, use answer_all for many, or open a second pair",
            )
        if any(use.lease is lease for use in self._uses):
            raise PairError(
                "this answer is being made already", "iterate over it in one place and one thread"
            )
        lease.thread = threading.current_thread()

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
        """Let nobody in any more, and wait until all are out.

        Raises:
            PairError: The call comes from inside an answer; nothing is closed.
        """
        with self._change:
            if any(use.thread is threading.current_thread() for use in self._uses):
                raise PairError(
                    "a pair cannot be closed from inside its own answer", "close it after the answer"
                )
            self._closed = True
            while self._uses:
                self._change.wait(POLL_S)
