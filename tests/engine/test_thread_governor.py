"""Laws of the thread count on simulated machines: never too many or too few, full when nobody else works."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.engine import thread_governor
from blendin_local.engine.thread_governor import (
    SLACK,
    TRIAL_S,
    WINDOW_S,
    CpuTimes,
    ThreadGovernor,
    free_cores,
    read_cpu_times,
)

TICK_S = 0.01  # in which a system counts


class Machine:
    """Cores shared with other programs, and a model whose evaluations take time on them.

    Args:
        cores: Processors, and the most threads.
        others: Time -> how many busy programs there are beside.
        gives_way: Whether these have a low priority: they take only what is idle.
        tells: Whether the system says how idle it is.
        work: Seconds of an evaluation on one thread alone.
    """

    def __init__(self, cores, others, *, gives_way=False, tells=True, work=0.02):
        self.cores, self.others, self.gives_way, self.tells, self.work = cores, others, gives_way, tells, work
        self.at = self.own = self.idle = 0.0
        self.governor = ThreadGovernor(cores, self.read, lambda: self.at)
        self.counts = []  # (time, threads, seconds of the evaluation)

    def read(self):
        def count(value):
            return math.floor(value / TICK_S) * TICK_S if self.tells else 0.0

        return CpuTimes(self.at, self.own, count(self.idle), count(self.at * self.cores))

    def slowdown(self, n):
        """One thread that shares its core holds up all: what `n` threads lose to `others` programs."""
        others = 0 if self.gives_way else self.others(self.at)
        crowded = n + others - self.cores
        return 1.0 if crowded <= 0 else 2.0 * max(1.0, others / self.cores)

    def seconds(self, n):
        return self.work / n * self.slowdown(n)

    def evaluate(self):
        n = self.governor.choose()
        took = self.seconds(n)
        others = self.others(self.at)
        wanted = n + (0 if self.gives_way else others)
        own = n * min(1.0, self.cores / wanted)
        self.counts.append((self.at, n, took))
        self.at += took
        self.own += own * took
        self.idle += max(0.0, self.cores - own - others) * took

    def run(self, until):
        while self.at < until:
            self.evaluate()
        return self

    def speed(self, since=0.0, until=math.inf):
        took = [seconds for at, _, seconds in self.counts if since <= at < until]
        return len(took) / sum(took)


def idle_speed(cores, work=0.02):
    return Machine(cores, lambda _: 0, work=work).run(5).speed()


@pytest.mark.parametrize("cores", [1, 2, 4, 6, 8, 16])
def test_an_idle_machine_keeps_all_threads(cores):
    """Where nobody else works no evaluation ever runs on another count, so that answers stay the same."""
    machine = Machine(cores, lambda _: 0).run(30)

    assert {n for _, n, _ in machine.counts} == {cores}


@pytest.mark.parametrize("cores", [2, 4, 8])
def test_it_steps_down_beside_a_busy_program(cores):
    """Within a second one thread is taken back for each busy program, and the speed is that of free cores."""
    machine = Machine(cores, lambda _: 1).run(15)

    assert {n for at, n, _ in machine.counts if at > 1} == {cores - 1}
    assert machine.speed(since=1) == pytest.approx(1 / machine.seconds(cores - 1))


@pytest.mark.parametrize("cores", [2, 4, 8])
@pytest.mark.parametrize("work", [0.005, 0.02, 0.3])
def test_it_is_back_within_three_seconds(cores, work):
    """Three seconds after the others have ended all threads work again."""
    machine = Machine(cores, lambda at: 1 if at < 10 else 0, work=work * cores).run(20)

    assert {n for at, n, _ in machine.counts if 4 < at < 9} == {cores - 1}
    assert {n for at, n, _ in machine.counts if at > 13} == {cores}


def test_one_short_burst_changes_nothing():
    """A program that works for less than a window leaves the count as it is."""
    machine = Machine(2, lambda at: 1 if 3 < at % 5 < 3 + WINDOW_S * 0.8 else 0).run(20)

    assert {n for _, n, _ in machine.counts} == {2}


def test_programs_that_give_way_cost_little():
    """A program of low priority looks busy; trials find out that all threads can be used beside it."""
    machine = Machine(2, lambda _: 1, gives_way=True)
    machine.governor.threads = 1
    machine.run(TRIAL_S + 10)

    assert {n for at, n, _ in machine.counts if at > TRIAL_S + 1} == {2}


@pytest.mark.parametrize("work", [0.02, 0.5, 4.0])
def test_trials_cost_a_few_per_cent(work):
    """Beside a program that stays busy the trials cost less than 4 %, for fast models and for slow ones."""
    machine = Machine(2, lambda _: 1, work=work).run(2000)
    best = 1 / machine.seconds(1)

    assert machine.speed(since=500) > 0.96 * best
    assert any(n == 2 for at, n, _ in machine.counts if at > 500)


def test_two_programs_share_the_cores():
    """Two of these programs side by side each end with half of the cores."""
    first = Machine(4, lambda _: 2)
    first.run(5)

    assert first.governor.threads == 2


def test_a_system_that_tells_nothing_leaves_the_count_alone():
    """Where the system does not count its idle time nothing is concluded from that."""
    machine = Machine(4, lambda at: 2 if at < 5 else 0, tells=False).run(10)

    assert {n for _, n, _ in machine.counts} == {4}


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    cores=st.integers(1, 16),
    phases=st.lists(st.integers(0, 20), min_size=1, max_size=12),
    length=st.floats(0.1, 5.0),
    work=st.floats(0.001, 1.0),
)
def test_bounds_and_the_end_hold_for_any_load(cores, phases, length, work):
    """Whatever others do, the count is between 1 and the cores, and full again when they have ended."""
    end = length * len(phases)
    others = lambda at: phases[int(at / length)] if at < end else 0  # noqa: E731
    last = work * max(phases)  # an evaluation that began among them may take so long
    machine = Machine(cores, others, work=work).run(end + last + max(6.0, 8 * work * cores))

    assert all(1 <= n <= cores for _, n, _ in machine.counts)
    assert machine.counts[-1][1] == cores


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), period=st.floats(0.2, 8.0))
def test_the_loss_is_bounded_beside_a_restless_program(seed, period):
    """A program that comes and goes at random costs no more than the worse of both fixed counts would."""
    rng = random.Random(seed)
    busy = [rng.random() < 0.5 for _ in range(int(60 / period) + 2)]
    machine = Machine(2, lambda at: int(busy[int(at / period)])).run(60)
    fixed = [sum(1 / machine.seconds(n) for machine.at in range(60)) / 60 for n in (1, 2)]

    assert machine.speed() > 0.8 * min(fixed)


def test_cores_left_counts_own_and_idle_time():
    """Own CPU time and idle time are what others left; a clock that stands still says nothing."""
    start = CpuTimes(0.0, 5.0, 7.0, 100.0)

    assert free_cores(start, CpuTimes(2.0, 7.0, 8.0, 104.0)) == pytest.approx(1.5)
    assert free_cores(start, CpuTimes(2.0, 7.0, 7.0, 100.0)) is None
    assert free_cores(start, start) is None
    assert 0 < SLACK < 0.5


def test_the_machine_can_be_read():
    """The clocks of this machine go forward, and their idle time is within what was counted."""
    before = read_cpu_times()
    total = sum(i * i for i in range(300_000))
    after = read_cpu_times()

    assert total > 0
    assert after.at > before.at
    assert after.own > before.own
    assert after.counted >= after.idle >= before.idle >= 0


def test_a_refused_look_is_no_error(monkeypatch):
    """Where the system forbids the look (Android), the reading says that nothing was counted."""

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied", "/proc/stat")

    monkeypatch.setattr(thread_governor.psutil, "cpu_times", forbidden)

    assert read_cpu_times().counted == 0
