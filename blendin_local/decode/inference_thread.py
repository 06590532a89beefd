"""One thread that drives the models for requests which come and go while it runs.

Here: `InferenceThread`, a queue of bounded length before a scheduler that never ends; `Listener`, what a
request is told; `Submission`, how it is cancelled.
Not here: how answers share batches (`decode.scheduler`), HTTP (`server`).

All calls into llama.cpp come from this thread. Others submit prepared requests, and their listeners are
called in this thread between two evaluations: they must hand over what they get and return at once. Requests
join and leave between rounds, so a cancelled one frees its slot within one round.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from blendin_local.core.methods import Role
from blendin_local.core.records import Completion, Step
from blendin_local.decode.active_request import RequestEvents
from blendin_local.decode.pair_lock import Lease, PairLock
from blendin_local.decode.request import PreparedRequest, RoleContexts
from blendin_local.decode.scheduler import Scheduler
from blendin_local.decode.search import refuse_search
from blendin_local.engine.context import StoppedError
from blendin_local.errors import BlendinError, QueueFullError, ServiceStoppedError, UnforeseenError

Work = Callable[[RoleContexts, Callable[[], bool]], Iterator[None]]
"""A task that needs a slot but is no answer: it runs until its next `yield` in every round."""


class Listener(Protocol):
    """What a request is told, in the inference thread."""

    def progress(self, role: Role, n_read: int, n_prompt: int) -> None:
        """So many tokens of a role's prompt are read."""
        ...

    def step(self, step: Step) -> None:
        """A step of the answer was decided."""
        ...

    def finished(self, result: Completion | BlendinError | None) -> None:
        """The last call: the answer, or why there is none; None after a task that is no answer."""
        ...


class Submission:
    """A request in the hands of an inference thread.

    Args:
        job: An answer that is asked for, or another task.
        listener: Is told what becomes of it.
    """

    def __init__(self, job: PreparedRequest | Work, listener: Listener) -> None:
        self.job = job
        self.listener = listener
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End it between two rounds; what was written so far is its answer."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()


@dataclass(frozen=True)
class Load:
    """How busy an inference thread is.

    Attributes:
        slots: How many requests it can run at once.
        active: How many it runs.
        waiting: How many wait for a slot.
        rounds: Rounds of evaluations since it was started.
        slot_rounds: Sum over the rounds of how many requests took part; divided by `rounds`, the mean width.
    """

    slots: int
    active: int
    waiting: int
    rounds: int
    slot_rounds: int


class InferenceThread:
    """Drives a pair's models until it is closed. A context manager.

    Args:
        slots: The role contexts of one conversation each.
        lock: The lock of the role contexts' pair; it is held all the time.
        max_waiting: How many requests may wait for a slot.
        fresh: Whether no answer may depend on an earlier one; then nothing of a conversation is reused.

    Raises:
        PairError: The pair is closed, or another thread is making an answer.
    """

    def __init__(
        self, slots: Sequence[RoleContexts], lock: PairLock, *, max_waiting: int = 64, fresh: bool = False
    ) -> None:
        self._slots = slots
        self._lock = lock
        self._max_waiting = max_waiting
        self._change = threading.Condition()
        self._waiting: deque[Submission] = deque()
        self._tasks: dict[int, tuple[Submission, Iterator[None]]] = {}
        self._closing = False
        self._stopping = threading.Event()
        self._should_stop = lock.stop_when_closing(self._stopping.is_set)
        self._rounds = self._slot_rounds = 0
        self._scheduler: Scheduler[Submission] = Scheduler(
            slots, _request_of, _Events(), lambda submission: submission.cancelled, fresh=fresh
        )
        self._lease: Lease = lock.acquire()
        self._thread = threading.Thread(target=self._run, name="blendin-inference", daemon=True)
        self._lease.thread = self._thread
        self._thread.start()

    def __enter__(self) -> InferenceThread:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, job: PreparedRequest | Work, listener: Listener) -> Submission:
        """Queue a request, or another task that needs the models; from any thread.

        Raises:
            QueueFullError: So many are waiting already.
            ServiceStoppedError: The thread is closing, or has failed.
        """
        return self.submit_all([(job, listener)])[0]

    def submit_all(self, jobs: Sequence[tuple[PreparedRequest | Work, Listener]]) -> list[Submission]:
        """Queue several requests, or none of them; arguments and errors as for `submit`.

        Raises:
            UsageError: One asks for a search.
        """
        for job, _ in jobs:
            if isinstance(job, PreparedRequest):
                refuse_search(job.settings.sampling)
        submissions = [Submission(job, listener) for job, listener in jobs]
        with self._change:
            if self._closing:
                raise ServiceStoppedError
            room = self._max_waiting + len(self._scheduler.free) - len(self._waiting)
            if len(submissions) > room:
                raise QueueFullError(len(self._waiting), self._max_waiting)
            self._waiting.extend(submissions)
            self._change.notify_all()
        return submissions

    @property
    def load(self) -> Load:
        """How busy it is."""
        with self._change:
            active = len(self._slots) - len(self._scheduler.free)
            return Load(len(self._slots), active, len(self._waiting), self._rounds, self._slot_rounds)

    @property
    def alive(self) -> bool:
        """Whether requests are taken."""
        return self._thread.is_alive() and not self._closing

    def close(self, grace_s: float = 0.0) -> None:
        """Take no more requests, and end; calling it twice is harmless.

        Args:
            grace_s: Seconds that running answers get to finish. Then they end as they are; those that wait
                are told at once that the service is stopped.
        """
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join(grace_s)
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                with self._lock.running(self._lease):
                    self._round()
        except BaseException as error:  # noqa: BLE001 - whoever waits must be told, whatever it is
            self._abandon(error)
        finally:
            self._lease.thread = threading.Thread()  # one that never lives: others may use the pair again

    def _wait_for_work(self) -> bool:
        """Wait until there is something to do; False once there will be nothing more."""
        with self._change:
            while not (self._waiting or self._scheduler.active or self._tasks or self._closing):
                self._change.wait()
            if self._closing:
                self._refuse(self._waiting)
            return bool(self._scheduler.active or self._tasks or not self._closing)

    def _refuse(self, submissions: deque[Submission]) -> None:
        while submissions:
            _tell(submissions.popleft(), ServiceStoppedError())

    def _round(self) -> None:
        """Start what waits, evaluate once for every answer, and tell what has come of it."""
        self._start_waiting()
        width = len(self._scheduler.active) + len(self._tasks)
        try:
            if self._should_stop():
                raise StoppedError
            self._scheduler.step(self._should_stop)
            self._advance_tasks()
        except StoppedError:
            self._scheduler.stop()
            self._end_tasks(ServiceStoppedError())
        except BlendinError as error:  # of no answer in the batch is it known how it goes on
            self._scheduler.fail(error)
        with self._change:
            self._rounds += 1
            self._slot_rounds += width
        for submission, result in self._scheduler.finished():
            _tell(submission, result)

    def _drop_cancelled(self) -> None:
        """Those that wait and are no longer wanted make room in the queue."""
        with self._change:
            dropped = [each for each in self._waiting if each.cancelled]
            for submission in dropped:
                self._waiting.remove(submission)
        for submission in dropped:
            _tell(submission, ServiceStoppedError("the request was cancelled before it began"))

    def _start_waiting(self) -> None:
        self._drop_cancelled()
        while self._scheduler.free:
            with self._change:
                if not self._waiting:
                    return
                submission = self._waiting.popleft()
            if isinstance(submission.job, PreparedRequest):
                self._scheduler.add(submission)
            else:
                number = self._scheduler.reserve()
                self._tasks[number] = submission, submission.job(self._slots[number], self._should_stop)

    def _advance_tasks(self) -> None:
        for number, (submission, work) in list(self._tasks.items()):
            try:
                if submission.cancelled:
                    work.close()  # type: ignore[attr-defined]
                    raise StopIteration
                next(work)
            except StopIteration:
                self._end_task(number, None)
            except StoppedError:
                raise
            except BlendinError as error:
                self._end_task(number, error)
            except Exception as error:  # noqa: BLE001 - one task's bug must not end the others
                self._end_task(number, UnforeseenError(error))

    def _end_task(self, number: int, result: BlendinError | None) -> None:
        submission, _ = self._tasks.pop(number)
        self._scheduler.release(number)
        _tell(submission, result)

    def _end_tasks(self, error: BlendinError) -> None:
        for number in list(self._tasks):
            self._end_task(number, error)

    def _abandon(self, error: BaseException) -> None:
        """Tell everyone that the thread has failed."""
        reason = error if isinstance(error, BlendinError) else UnforeseenError(error, "please report it")
        with self._change:
            self._closing = True
            waiting, self._waiting = self._waiting, deque()
        self._end_tasks(reason)
        self._scheduler.fail(reason)
        for submission, result in self._scheduler.finished():
            _tell(submission, result)
        for submission in waiting:
            _tell(submission, reason)


class _Events(RequestEvents[Submission]):
    """Passes what a scheduler tells on to the listeners; one whose listener fails is cancelled."""

    def step(self, item: Submission, step: Step) -> None:
        try:
            item.listener.step(step)
        except Exception:  # noqa: BLE001 - nobody is left to be told
            item.cancel()

    def progress(self, item: Submission, role: Role, n_read: int, n_prompt: int) -> None:
        try:
            item.listener.progress(role, n_read, n_prompt)
        except Exception:  # noqa: BLE001 - likewise
            item.cancel()


def _tell(submission: Submission, result: Completion | BlendinError | None) -> None:
    try:
        submission.listener.finished(result)
    except Exception:  # noqa: BLE001 - a listener that is gone; the thread must go on
        submission.cancel()


def _request_of(submission: Submission) -> PreparedRequest:
    assert isinstance(submission.job, PreparedRequest), "other tasks do not reach the scheduler"
    return submission.job
