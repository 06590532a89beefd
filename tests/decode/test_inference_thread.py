"""Requests that come and go: each gets its own answer, can be cancelled alone, and frees its slot at once."""

from __future__ import annotations

import queue
import random
import threading
import time

import pytest

from blendin_local.core.prompts import Message
from blendin_local.core.records import Completion
from blendin_local.decode.inference_thread import Submission
from blendin_local.decode.request import GenerationSettings
from blendin_local.errors import (
    ContextFullError,
    PairError,
    QueueFullError,
    ServiceStoppedError,
    UnforeseenError,
)
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from tests.prompts import TEMPLATE
from tests.toys import make_toy

QUESTIONS = ("the hello world", "a hell or d", "world the a. hello", "l l l e h")
BLEND = BlendSettings(threshold=0.15)


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    return [make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in (0, 1)]


@pytest.fixture
def open_pair(toys):
    opened = []

    def open_toys(n_parallel=1):
        model = ModelSettings(ctx_size=1024, threads=1, kv_type="f32", flash_attention="off")
        opened.append(Pair(PairSetup(*toys, TEMPLATE, model, model, n_parallel=n_parallel)))
        return opened[-1]

    yield open_toys
    for pair in opened:
        pair.close()


def settings(n=12, **sampling):
    limits = AnswerSettings(max_tokens=n, loop_guard=False)
    return GenerationSettings(BLEND, SamplingSettings(**sampling), limits)


class Heard:
    """A listener that keeps what it is told; `hold` makes it wait in the inference thread."""

    def __init__(self, hold: threading.Event | None = None) -> None:
        self.steps, self.read, self.results = [], [], queue.Queue()
        self.began = threading.Event()
        self._hold = hold

    def progress(self, role, n_read, n_prompt):
        self.read.append((role, n_read, n_prompt))

    def step(self, step):
        self.steps.append(step)
        self.began.set()
        if self._hold is not None:
            self._hold.wait(10)

    def finished(self, result):
        self.results.put(result)

    @property
    def result(self):
        return self.results.get(timeout=20)


def said(completion):
    return completion.text, completion.steps, completion.stopped_by, completion.end


def test_with_one_slot_every_answer_is_that_of_a_fresh_pair(open_pair):
    """To the last bit, in whatever order they come; the steps are told as they are decided."""
    alone = {}
    for question in QUESTIONS:
        pair = open_pair()
        alone[question] = said(pair.respond(question, blend=BLEND, max_tokens=12, loop_guard=False))
        pair.close()
    pair = open_pair()
    with pair.inference_thread() as thread:
        heard = {}
        for question in QUESTIONS * 3:
            heard[question] = Heard()
            thread.submit(pair.prepare(question, settings()), heard[question])
        for question, each in heard.items():
            result = each.result
            assert said(result) == alone[question]
            assert tuple(each.steps) == result.steps


def test_requests_join_and_leave_while_others_run(open_pair):
    """A short request that comes late is answered before a long one that was there first."""
    pair, hold = open_pair(2), threading.Event()
    with pair.inference_thread() as thread:
        long, short = Heard(hold), Heard()
        thread.submit(pair.prepare(QUESTIONS[0], settings(200)), long)
        assert long.began.wait(10)
        thread.submit(pair.prepare(QUESTIONS[1], settings(3)), short)
        hold.set()
        assert len(short.result.steps) == 3
        n_long = len(long.steps)
        assert n_long < 200
        assert len(long.result.steps) == 200


def test_one_request_is_cancelled_alone_and_frees_its_slot(open_pair):
    """Within one round, its answer is kept as far as it got, and the others do not notice."""
    pair, hold = open_pair(2), threading.Event()
    other = said(pair.respond(QUESTIONS[1], blend=BLEND, max_tokens=20, loop_guard=False))
    with pair.inference_thread() as thread:
        doomed, kept = Heard(hold), Heard()
        submission = thread.submit(pair.prepare(QUESTIONS[0], settings(500)), doomed)
        assert doomed.began.wait(10)
        thread.submit(pair.prepare(QUESTIONS[1], settings(20)), kept)
        n_steps = len(doomed.steps)
        submission.cancel()
        hold.set()
        result = doomed.result
        assert (result.stopped_by, len(result.steps)) == ("user", n_steps)
        assert said(kept.result)[0] == other[0]
        assert thread.load.active == 0


def test_a_request_can_be_cancelled_while_it_waits(open_pair):
    """It is never started."""
    pair, hold = open_pair(), threading.Event()
    with pair.inference_thread() as thread:
        first, second = Heard(hold), Heard()
        thread.submit(pair.prepare(QUESTIONS[0], settings(4)), first)
        assert first.began.wait(10)
        thread.submit(pair.prepare(QUESTIONS[1], settings(4)), second).cancel()
        hold.set()
        assert isinstance(second.result, ServiceStoppedError)
        assert second.steps == []


def test_a_full_queue_refuses_all_or_takes_all(open_pair):
    """Of several requests that belong together, none is taken where not all fit."""
    pair, hold = open_pair(), threading.Event()
    with pair.inference_thread(max_waiting=2) as thread:
        running = Heard(hold)
        thread.submit(pair.prepare(QUESTIONS[0], settings(2)), running)
        assert running.began.wait(10)
        request = pair.prepare(QUESTIONS[1], settings(2))
        with pytest.raises(QueueFullError, match="0 requests are waiting, and no more than 2"):
            thread.submit_all([(request, Heard())] * 3)
        waiting = [Heard(), Heard()]
        thread.submit_all([(request, each) for each in waiting])
        assert thread.load.waiting == 2
        with pytest.raises(QueueFullError):
            thread.submit(request, Heard())
        hold.set()
        assert all(len(each.result.steps) == 2 for each in waiting)


def test_an_error_is_that_of_its_request(open_pair):
    """A prompt that does not fit fails alone; so does a listener that raises."""
    pair = open_pair(2)
    with pair.inference_thread() as thread:

        class Broken(Heard):
            def step(self, step):
                raise RuntimeError("gone")

        too_long, fine, broken = Heard(), Heard(), Broken()
        thread.submit(pair.prepare("the hello " * 600, settings()), too_long)
        thread.submit(pair.prepare(QUESTIONS[0], settings(400)), broken)
        thread.submit(pair.prepare(QUESTIONS[0], settings(5)), fine)
        assert isinstance(too_long.result, ContextFullError)
        assert len(fine.result.steps) == 5
        assert len(broken.result.steps) == 1


def test_a_second_turn_reads_only_what_is_new(open_pair):
    """The conversation's slot is found again, also where another request came between on another slot."""
    pair = open_pair(2)
    question = "the hello world " * 12
    with pair.inference_thread() as thread:
        first, between, second = Heard(), Heard(), Heard()
        thread.submit(pair.prepare(question, settings(8)), first)
        answer = first.result
        thread.submit(pair.prepare("a hell or d " * 9, settings(8)), between)
        assert between.result.usage.base_tokens_evaluated > 20
        turns = [Message("user", question), Message("assistant", answer.text), Message("user", "a d")]
        thread.submit(pair.prepare(turns, settings(1)), second)
        usage = second.result.usage
        new = usage.base_prompt_tokens - answer.usage.base_prompt_tokens
        assert usage.base_tokens_evaluated <= new + 2 < usage.base_prompt_tokens / 2


def test_progress_is_told_while_a_long_prompt_is_read(open_pair):
    """It grows chunk by chunk up to the length of the prompt."""
    pair = open_pair()
    with pair.inference_thread() as thread:
        heard = Heard()
        thread.submit(pair.prepare("the hello world " * 60, settings(1)), heard)
        n_prompt = heard.result.usage.base_prompt_tokens
        of_base = [n_read for role, n_read, of in heard.read if role == "base" and of == n_prompt]
        assert of_base == sorted(of_base)
        assert of_base[0] == 128
        assert len(of_base) >= 2


def test_closing_gives_running_answers_time_and_then_ends_them(open_pair):
    """Without grace a running answer is cancelled as it is; one that waits is refused; later ones as well."""
    pair, hold = open_pair(), threading.Event()
    thread = pair.inference_thread()
    running, waiting = Heard(hold), Heard()
    thread.submit(pair.prepare(QUESTIONS[0], settings(500)), running)
    assert running.began.wait(10)
    thread.submit(pair.prepare(QUESTIONS[1], settings(5)), waiting)
    closing = threading.Thread(target=thread.close)
    closing.start()
    while thread.alive:
        time.sleep(0.001)
    time.sleep(0.05)
    hold.set()
    closing.join(20)
    assert running.result.stopped_by == "user"
    assert isinstance(waiting.result, ServiceStoppedError)
    with pytest.raises(ServiceStoppedError):
        thread.submit(pair.prepare(QUESTIONS[0], settings()), Heard())
    assert pair.respond(QUESTIONS[0], max_tokens=2).text


def test_grace_lets_a_running_answer_finish(open_pair):
    """It is complete, not cancelled."""
    pair = open_pair()
    thread = pair.inference_thread()
    heard = Heard()
    thread.submit(pair.prepare(QUESTIONS[0], settings(40)), heard)
    assert heard.began.wait(10)
    thread.close(grace_s=20)
    assert heard.result.stopped_by == "max_tokens"


def test_the_pair_belongs_to_the_thread_while_it_runs(open_pair):
    """Another answer is refused; a closed pair ends the thread, and every request is told."""
    pair = open_pair()
    with pair.inference_thread() as thread:
        with pytest.raises(PairError, match="another thread is making an answer"):
            pair.respond(QUESTIONS[0])
        heard = Heard(hold := threading.Event())
        thread.submit(request := pair.prepare(QUESTIONS[0], settings(500)), heard)
        assert heard.began.wait(10)
        closer = threading.Thread(target=pair.close)
        closer.start()
        time.sleep(0.05)
        hold.set()
        closer.join(20)
        assert isinstance(heard.result, Completion | PairError)
        with pytest.raises(ServiceStoppedError):
            thread.submit(request, Heard())


def test_another_task_shares_the_thread(open_pair):
    """It has a slot of its own, runs piece by piece between rounds, and its error is its own."""
    pair = open_pair(2)
    threads, pieces = set(), []

    def work(slot, should_stop):
        for i in range(5):
            threads.add(threading.current_thread().name)
            pieces.append((i, set(slot)))
            yield

    def broken(slot, should_stop):
        yield
        raise RuntimeError("a bug")

    with pair.inference_thread() as thread:
        done, failed, answer = Heard(), Heard(), Heard()
        thread.submit(work, done)
        thread.submit(broken, failed)
        thread.submit(pair.prepare(QUESTIONS[0], settings(5)), answer)
        assert done.result is None
        assert isinstance(failed.result, UnforeseenError)
        assert len(answer.result.steps) == 5
    assert threads == {"blendin-inference"}
    assert [i for i, _ in pieces] == list(range(5))


@pytest.mark.slow
def test_nothing_is_lost_when_requests_come_and_vanish_at_random(open_pair):
    """Two hundred requests of six threads, a third of them cancelled: each is told once."""
    pair = open_pair(4)
    rng = random.Random(5)
    plans = [(rng.choice(QUESTIONS), rng.randint(1, 30), rng.random() < 0.3) for _ in range(200)]
    heard = [Heard() for _ in plans]
    with pair.inference_thread(max_waiting=1000) as thread:

        def send(first):
            mine = random.Random(first)
            for (question, n, cancelled), each in list(zip(plans, heard, strict=True))[first::6]:
                submission: Submission = thread.submit(
                    pair.prepare(question, settings(n, temperature=0.9, seed=n)), each
                )
                time.sleep(mine.random() * 0.004)
                if cancelled:
                    submission.cancel()

        senders = [threading.Thread(target=send, args=(i,)) for i in range(6)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        for (_, n, cancelled), each in zip(plans, heard, strict=True):
            result = each.result
            if not cancelled:
                assert isinstance(result, Completion)
                assert len(result.steps) <= n
                assert result.stopped_by != "user"
        load = thread.load
        assert (load.active, load.waiting) == (0, 0)
    assert all(each.results.empty() for each in heard)
