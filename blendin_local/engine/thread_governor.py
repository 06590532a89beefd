"""How many threads llama.cpp should use now: as many as there are cores that no other program uses.

Here: `ThreadGovernor`, which chooses while the models work, and `read_cpu_times`, the only look at the
system.
Not here: how many threads could be used at best (`engine.machine`), who obeys (`engine.context`).

llama.cpp's threads wait for each other after every operation. One that shares its core with another program
holds up all the others, so a count above the free cores costs more than a count below them. Free cores are
measured: over a window of t seconds, with this process's own CPU time and the idle time of its processors,

    cores left = (own + idle) / t

is what others leave. That needs no trial, no knowledge of models or batch shapes, and stays right where
threads sleep (a GPU works, pages are read). An idle machine never sees another count than the first, so
that its answers stay the same to the last bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time

import psutil

WINDOW_S = 0.15  # the system counts in ticks of 1/100 s; two windows in a row decide
SLACK = 0.4  # of a core that others may use before its thread is taken away
TRIAL_S = 20.0  # programs that would give way (nice) look busy: now and then all threads are tried
TRIAL_SHARE = 1 / 40  # of the time, at most, for trials


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Readings of the clocks, all in seconds since a fixed but arbitrary time.

    Attributes:
        at: Wall clock.
        own: CPU time of this process.
        idle: Idle time of the processors it may run on, together.
        counted: Total time that the system reports for them, of any kind; constant if it reports none.
    """

    at: float
    own: float
    idle: float
    counted: float


def read_cpu_times() -> CpuTimes:
    """The clocks of this machine."""
    try:
        processors = psutil.cpu_times(percpu=True)
    except (OSError, NotImplementedError):  # Android and some containers do not report it
        processors = []
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        processors = [times for i, times in enumerate(processors) if i in allowed] or processors
    idle = sum(times.idle + getattr(times, "iowait", 0.0) for times in processors)
    return CpuTimes(perf_counter(), process_time(), idle, float(sum(map(sum, processors))))


def free_cores(before: CpuTimes, after: CpuTimes) -> float | None:
    """Cores that were free for this process between two readings; None if the system reports none."""
    seconds = after.at - before.at
    if seconds <= 0 or after.counted - before.counted < seconds / 2:
        return None
    return (after.own - before.own + after.idle - before.idle) / seconds


class ThreadGovernor:
    """The thread count of the moment, for all contexts of a process.

    Args:
        max_threads: Number of threads on an idle machine; never exceeded.
        read: The clocks of the machine.
        clock: The wall clock alone, which costs nothing to read.

    Attributes:
        threads: The count chosen last, 1 to `max_threads`.
    """

    def __init__(
        self,
        max_threads: int,
        read: Callable[[], CpuTimes] = read_cpu_times,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.threads = self.max_threads = max_threads
        self._read, self._clock = read, clock
        self._last = read()
        self._target = max_threads
        self._changed_at = self._last.at
        self._trial_began: float | None = None
        self._patience_s = TRIAL_S

    def choose(self) -> int:
        """The count for the next evaluation; the machine is looked at once a window at most."""
        if self.max_threads > 1 and self._clock() - self._last.at >= WINDOW_S:
            before, self._last = self._last, self._read()
            left = free_cores(before, self._last)
            if left is not None:
                self._update(max(1, min(self.max_threads, int(left + SLACK))))
        return self.threads

    def _update(self, target: int) -> None:
        """Change the number of threads if two windows in a row ask for it, by the smaller change."""
        low, high = sorted((self._target, target))
        self._target = target
        at = self._last.at
        if high < self.threads:
            self._end_trial(at)
            self._change(high, at)
        elif low > self.threads:
            self._change(low, at)
        elif self._trial_began is not None and low >= self.threads:
            self._trial_began, self._patience_s = None, TRIAL_S
        elif self.threads < self.max_threads and at - self._changed_at >= self._patience_s:
            self._change(self.max_threads, at)
            self._trial_began = at

    def _end_trial(self, at: float) -> None:
        """A trial that failed is not repeated before it is outweighed, however slow the model."""
        if self._trial_began is not None:
            self._patience_s = max(TRIAL_S, (at - self._trial_began) / TRIAL_SHARE)
            self._trial_began = None

    def _change(self, threads: int, at: float) -> None:
        self.threads, self._changed_at = threads, at
