"""Exclusive use: no answer is made from another's question, and nothing is used after `close`."""

from __future__ import annotations

import inspect
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from blendin_local.core.prompts import Message
from blendin_local.decode.pair_lock import PairLock
from blendin_local.errors import PairError
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings
from tests.prompts import TEMPLATE
from tests.toys import make_toy

QUESTIONS = ("the hello world", "a hell or d", "world the a. hello", "l l l e h")
BLEND = BlendSettings(threshold=0.15)
SETTINGS = ModelSettings(ctx_size=256, threads=1, kv_type="f32", flash_attention="off")


def limits(n=12):
    return AnswerSettings(max_tokens=n, loop_guard=False)


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("turns")
    return [make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in (0, 1)]


@pytest.fixture
def pair(toys):
    with Pair(PairSetup(*toys, TEMPLATE, SETTINGS, SETTINGS)) as opened:
        yield opened


@pytest.fixture(scope="module")
def alone(toys):
    """What each question is answered with by a pair that answers nothing else."""
    answers = {}
    for question in QUESTIONS:
        with Pair(PairSetup(*toys, TEMPLATE, SETTINGS, SETTINGS)) as pair:
            answers[question] = pair.respond(question, blend=BLEND, answer=limits()).text
    assert len(set(answers.values())) == len(QUESTIONS)
    return answers


def open_stream(pair, question):
    return pair.stream(question, blend=BLEND, answer=limits())


def finished(stream):
    list(stream)
    return stream.completion.text


def test_a_stream_opened_before_another_gives_its_own_answer(pair, alone):
    """Streams that were opened together are answered each from its own question, in any order."""
    for order in (QUESTIONS, QUESTIONS[::-1]):
        streams = {question: open_stream(pair, question) for question in QUESTIONS}
        assert {question: finished(streams[question]) for question in order} == alone


def test_an_answer_cannot_go_on_after_another_began(pair, alone):
    """Half an answer, then another: the first one ends with an error, the other is right."""
    first = open_stream(pair, QUESTIONS[0])
    next(iter(first))
    assert pair.respond(QUESTIONS[1], blend=BLEND, answer=limits()).text == alone[QUESTIONS[1]]
    with pytest.raises(PairError, match="cannot go on"):
        next(iter(first))
    partial = first.completion
    assert (len(partial.steps), partial.stopped_by) == (1, "user")
    assert alone[QUESTIONS[0]].startswith(partial.text)


@pytest.mark.slow
def test_whatever_is_interleaved_is_right_or_refused(pair, alone):
    """Streams, readings and batches in random order: each gives what it gives alone, or PairError."""
    messages = [Message("user", QUESTIONS[0])]
    read_alone = list(pair.read("base", QUESTIONS[0]))
    scored = pair.option_logprobs("guide", messages, ["a", "hello the"])
    rng = random.Random(13)
    whole = refused = 0
    for _ in range(60):
        batch = [Request(q, (Message("user", q),), BLEND, answer=limits()) for q in QUESTIONS[:2]]
        uses = {
            **{q: iter(open_stream(pair, q)) for q in QUESTIONS},
            "read": pair.read("base", QUESTIONS[0]),
            "all": pair.answer_all(batch),
        }
        got = {name: [] for name in uses}
        while uses:
            name = rng.choice(list(uses))
            for _ in range(rng.choice((1, 2, 100))):
                try:
                    got[name].append(next(uses[name]))
                except StopIteration:
                    whole += 1
                    _require_right(name, uses.pop(name), got[name], alone, read_alone)
                    break
                except PairError:
                    refused += 1
                    del uses[name]
                    break
            if rng.random() < 0.1:
                assert pair.option_logprobs("guide", messages, ["a", "hello the"]) == scored
    assert whole > 100
    assert refused > 50


def _require_right(name, use, got, alone, read_alone):
    if name == "read":
        assert got == read_alone
    elif name == "all":
        assert {request.key: answer.text for request, answer in got} == {q: alone[q] for q in QUESTIONS[:2]}
    else:
        assert use.completion.text == "".join(step.text for step in got) == alone[name]


def test_threads_get_their_answer_or_an_error(pair, alone):
    """Six threads ask at once: every answer is that of its question, every refusal a PairError."""
    results, failures = [], []
    barrier = threading.Barrier(6)

    def ask(i):
        rng = random.Random(i)
        barrier.wait()
        for _ in range(25):
            question = rng.choice(QUESTIONS)
            try:
                results.append((question, finished(open_stream(pair, question))))
            except PairError as error:
                failures.append(error)
                time.sleep(0.002)
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) + len(failures) == 150
    assert results
    assert all(isinstance(failure, PairError) for failure in failures)
    assert all(text == alone[question] for question, text in results)


def test_a_running_answer_of_another_thread_is_not_disturbed(pair, alone):
    """Between two steps of it, whatever this thread asks is refused, and nothing of it is lost."""
    stream = open_stream(pair, QUESTIONS[0])
    began, go_on, said = threading.Event(), threading.Event(), []

    def answer():
        for step in stream:
            said.append(step.text)
            began.set()
            assert go_on.wait(10)

    thread = threading.Thread(target=answer)
    thread.start()
    assert began.wait(10)
    for use in (
        lambda: pair.stream(QUESTIONS[1]),
        lambda: pair.respond(QUESTIONS[1]),
        lambda: list(pair.read("base", "the")),
        lambda: list(pair.answer_all([])),
        lambda: pair.option_logprobs("base", [Message("user", "the")], ["a"]),
    ):
        with pytest.raises(PairError, match="another thread"):
            use()
    assert pair.prompts("the").keys() == {"base", "guide"}
    go_on.set()
    thread.join()
    assert "".join(said) == alone[QUESTIONS[0]]
    assert pair.respond(QUESTIONS[1], blend=BLEND, answer=limits()).text == alone[QUESTIONS[1]]


def test_an_answer_that_was_left_does_not_block_other_threads(pair, alone):
    """Left with its last reference, or closed, an unfinished answer of another thread is over."""
    kept = []

    def ask_and_wait(close):
        for _ in open_stream(pair, QUESTIONS[0]):
            break
        stream = open_stream(pair, QUESTIONS[0])
        next(iter(stream))
        kept.append(stream)
        if close:
            stream.close()
        ready.set()
        assert leave.wait(10)

    for close in (True, False):
        ready, leave = threading.Event(), threading.Event()
        thread = threading.Thread(target=ask_and_wait, args=(close,))
        thread.start()
        assert ready.wait(10)
        if not close:
            with pytest.raises(PairError, match="another thread"):
                open_stream(pair, QUESTIONS[1])
            kept.clear()
            leave.set()
            thread.join()
        assert finished(open_stream(pair, QUESTIONS[1])) == alone[QUESTIONS[1]]
        leave.set()
        thread.join()


def test_a_call_from_inside_an_answer_is_refused(pair, alone):
    """`should_stop` that asks, reads or closes gets an error, and the answer goes on."""
    met = []

    def meddle():
        for use in (lambda: pair.respond("the"), lambda: list(pair.read("base", "the")), pair.close):
            try:
                use()
            except PairError as error:
                met.append(error)
            else:
                met.append(None)
        return False

    answer = pair.respond(QUESTIONS[0], blend=BLEND, answer=limits(), should_stop=meddle)
    assert answer.text == alone[QUESTIONS[0]]
    assert len(met) > 12
    assert all(met)


def test_closing_waits_for_another_thread(toys):
    """Closed while another thread evaluates, a pair ends that answer with an error and crashes nothing."""
    settings = ModelSettings(ctx_size=2048, threads=1)
    for delay in (0.0, 0.02, 0.05):
        pair = Pair(PairSetup(*toys, TEMPLATE, settings, settings))
        began, errors = threading.Event(), []

        def answer(pair=pair, began=began, errors=errors):
            began.set()
            try:
                while True:
                    pair.respond("hello the world " * 150, blend=BLEND, answer=limits(200))
            except BaseException as error:  # noqa: BLE001 - looked at below
                errors.append(error)  # noqa: B023 - bound above

        thread = threading.Thread(target=answer)
        thread.start()
        assert began.wait(10)
        time.sleep(delay)
        pair.close()
        thread.join(10)
        assert not thread.is_alive()
        [error] = errors
        assert isinstance(error, PairError)
        assert "closed" in error.message


USES_AFTER_CLOSE = """
import sys
from pathlib import Path
from blendin_local.core.prompts import Message
from blendin_local.decode.request import GenerationSettings
from blendin_local.errors import PairError
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, ModelSettings
from tests.prompts import TEMPLATE

base, guide, use = sys.argv[1:]
settings = ModelSettings(ctx_size=256, threads=1)
pair = Pair(PairSetup(Path(base), Path(guide), TEMPLATE, settings, settings))
ask = [Message("user", "the world")]
half, opened = pair.stream("the hello"), pair.read("base", "the hello")
all_, place = pair.answer_all([Request("a", ask)] * 3), pair._slots[0]["base"]
{"half": lambda: next(iter(half)), "opened": lambda: next(opened), "all_": lambda: next(all_)}.get(use, str)()
fresh = pair.stream("the world") if use == "unbegun" else None
context = place.context
pair.close()
pair.close()
uses = {
    "stream": lambda: pair.stream("the"),
    "respond": lambda: pair.respond("the"),
    "read": lambda: list(pair.read("base", "the")),
    "prompts": lambda: pair.prompts("the"),
    "prompt_spans": lambda: pair.prompt_spans("guide", ask),
    "option_logprobs": lambda: pair.option_logprobs("base", ask, ["a"]),
    "answer_all": lambda: list(pair.answer_all([Request("a", ask)])),
    "describe": pair.describe,
    "kept_open": lambda: pair.kept_open().__enter__(),
    "prompts_may_use_date": pair.prompts_may_use_date,
    "prepare": lambda: pair.prepare("the", GenerationSettings()),
    "inference_thread": pair.inference_thread,
    "prepare_forms": pair.prepare_forms,
    "vocabulary": lambda: pair.vocabulary("base"),
    "ctx_size": lambda: pair.ctx_size("base"),
    "half": lambda: list(half),
    "opened": lambda: list(opened),
    "all_": lambda: list(all_),
    "unbegun": lambda: list(fresh),
    "context": lambda: context.predict([place.sequence]),
}
try:
    uses[use]()
except PairError as error:
    assert "closed" in error.message, error.message
    print("refused")
"""
USES = (
    *("stream", "respond", "read", "prompts", "prompt_spans", "option_logprobs", "answer_all", "describe"),
    *("half", "opened", "all_", "unbegun", "context", "prepare", "inference_thread", "prepare_forms"),
    *("vocabulary", "ctx_size", "kept_open", "prompts_may_use_date"),
)


@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
def test_nothing_is_used_after_close(toys, use):
    """Every use of a closed pair, and every answer that was begun before, ends as PairError."""
    done = subprocess.run(
        [sys.executable, "-c", USES_AFTER_CLOSE, *map(str, toys), use],
        check=False,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


def test_every_public_use_of_a_pair_is_tried_after_close():
    """A new public method of `Pair` must say what it does once the pair is closed."""
    harmless = {"close", "memory_bytes"}  # they touch no model
    public = {
        name for name, member in inspect.getmembers(Pair, inspect.isfunction) if not name.startswith("_")
    }
    assert public - harmless <= set(USES)


def test_an_interrupt_inside_leaves_the_pair_usable(pair, alone):
    """KeyboardInterrupt at any place of an answer ends that answer alone."""
    for i in range(6):
        polls = 0

        def interrupt(i=i):
            nonlocal polls
            polls += 1
            if polls > i:
                raise KeyboardInterrupt
            return False

        with pytest.raises(KeyboardInterrupt):
            pair.respond(QUESTIONS[0], blend=BLEND, answer=limits(), should_stop=interrupt)
        assert pair.respond(QUESTIONS[1], blend=BLEND, answer=limits()).text == alone[QUESTIONS[1]]


def test_a_lease_ends_with_its_thread_or_its_last_reference():
    """A new lease is refused only while another living thread holds an unfinished one."""
    lock = PairLock()
    kept = []
    thread = threading.Thread(target=lambda: kept.append(lock.acquire()))
    thread.start()
    thread.join()
    assert lock.is_current(kept[0])
    mine = lock.acquire()
    assert not lock.is_current(kept[0])
    with pytest.raises(PairError), lock.running(kept[0]):
        pass
    with lock.running(mine):
        pass
    del mine
    kept.clear()
    assert lock.acquire()
