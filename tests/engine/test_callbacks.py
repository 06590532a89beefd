"""What is raised while llama.cpp runs reaches the caller: Ctrl-C stops an evaluation and a load."""

from __future__ import annotations

import ctypes
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from blendin_local.cli import app as cli
from blendin_local.engine.callbacks import StopCallback
from blendin_local.engine.context import Context
from blendin_local.engine.model import Model
from blendin_local.errors import LoadError
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import ModelSettings
from tests.prompts import TEMPLATE
from tests.toys import KINDS, make_toy

SETTINGS = ModelSettings(threads=1)
KIND = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)
ROOT = Path(__file__).parents[2]


class UserError(Exception):
    """What a caller's own function raises."""


def raising(error, after=0):
    """A function that says False a few times and then raises."""
    calls = iter(range(10**6))

    def ask():
        if next(calls) >= after:
            raise error
        return False

    return ask


def test_what_is_raised_while_c_runs_is_raised_after_it():
    """The first exception is kept, from then on C is value to end, and it is raised once."""
    for stop_value in (True, False):
        question = StopCallback(KIND, raising(KeyboardInterrupt("first")), stop_value=stop_value)
        assert [question.function(None) for _ in range(3)] == [stop_value] * 3
        with pytest.raises(KeyboardInterrupt, match="first"):
            question.raise_again()
        question.raise_again()


def test_an_answer_is_passed_on():
    """Without an exception C hears what was answered."""
    answers = [True, False, False, True]
    question = StopCallback(KIND, iter(answers).__next__, stop_value=True)
    assert [question.function(None) for _ in answers] == answers
    question.raise_again()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no interval timers")
def test_no_signal_is_lost_while_c_calls_back():
    """Hundreds of signals during C code that calls back all the time: each handler's exception is kept.

    `qsort` stands for llama.cpp: a signal that arrives in its own code is handled at the callback's first
    bytecode.
    """
    fired, kept = [], []

    def handle(*_):
        fired.append(1)
        raise KeyboardInterrupt

    def answer():
        return False

    before = signal.signal(signal.SIGALRM, handle)
    qsort = ctypes.CDLL(None).qsort
    numbers = (ctypes.c_int * 20_000)()
    try:
        for _ in range(60):
            try:  # the signal may also arrive before or after the call
                question = StopCallback(KIND, answer, stop_value=True)
                signal.setitimer(signal.ITIMER_REAL, 0.001)
                qsort(numbers, len(numbers), 4, question.function)
                signal.setitimer(signal.ITIMER_REAL, 0)
                question.raise_again()
            except KeyboardInterrupt:
                kept.append(1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(kept) == len(fired) > 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), UserError("mine")])
def test_an_evaluation_that_raised_can_be_repeated(tmp_path, kind, error):
    """`should_stop` that raises ends the evaluation with that; later logits are those of a fresh context."""
    model = Model(make_toy(tmp_path / "toy.gguf", kind), SETTINGS)
    context, fresh = Context(model, 512, 1), Context(model, 512, 1)
    ids = [259 + i % 15 for i in range(300)]
    for each in (context, fresh):
        each.sequences[0].begin(ids)
    for after in (0, 5, 40):
        with pytest.raises(type(error)) as raised:
            context.predict(context.sequences, raising(error, after))
        assert raised.value is error
    [logits], [expected] = context.predict(context.sequences), fresh.predict(fresh.sequences)
    assert (logits == expected).all()
    for each in (context, fresh):
        each.close()
    model.close()


def test_a_load_that_raised_says_what(tmp_path):
    """An exception while weights are read is raised again, no LoadError; a stop is KeyboardInterrupt."""
    path = make_toy(tmp_path / "toy.gguf", "plain")
    for error in (KeyboardInterrupt(), UserError("mine")):
        with pytest.raises(type(error)) as raised:
            Model(path, SETTINGS, raising(error))
        assert raised.value is error
    with pytest.raises(KeyboardInterrupt):
        Model(path, SETTINGS, lambda: True)
    path.write_bytes(b"junk")
    with pytest.raises(LoadError):
        Model(path, SETTINGS)


IN_A_CHILD = """
import signal, sys, threading, time
from pathlib import Path
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings
from tests.prompts import TEMPLATE

signal.signal(signal.SIGINT, signal.default_int_handler)
settings = ModelSettings(ctx_size=65536, threads=1)
setup = PairSetup(Path(sys.argv[1]), None, TEMPLATE, settings)
with Pair(setup) as pair:
    print("ready", flush=True)
    try:
        pair.respond("the hello world " * 4000, blend=BlendSettings(method="base"),
                     answer=AnswerSettings(max_tokens=1))
    except KeyboardInterrupt:
        print("interrupted", pair.tokens_evaluated < 12000, flush=True)
    pair.respond("the", blend=BlendSettings(method="base"), answer=AnswerSettings(max_tokens=3))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT is sent to a process")
def test_ctrl_c_stops_an_answer_of_the_python_api(tmp_path):
    """A real SIGINT with Python's own handler, while a prompt is read: it is raised, the pair goes on."""
    toy = make_toy(tmp_path / "toy.gguf", "plain", ctx=65536)
    for delay in (0.05, 0.15, 0.3):
        child = subprocess.Popen(
            [sys.executable, "-c", IN_A_CHILD, str(toy)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert child.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(delay)
        child.send_signal(signal.SIGINT)
        said, noise = child.communicate(timeout=60)
        assert said.split("\n")[0] == "interrupted True", noise
        assert "ignored" not in noise
        assert child.returncode == 0, noise


def test_a_load_that_was_stopped_says_that_it_was_you(tmp_path, monkeypatch, capsys):
    """Ctrl-C while models load: exit code 130 and one line, whoever noticed it."""
    toy = make_toy(tmp_path / "toy.gguf", "plain")
    init = Pair.__init__
    for stop in (lambda: True, raising(KeyboardInterrupt())):
        with pytest.raises(KeyboardInterrupt, match="stopped by you while the models were loaded"):
            Pair(PairSetup(toy, None, TEMPLATE, SETTINGS), stop)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr(sys, "argv", ["blendin", "run", "hello", "--base", str(toy), "--method", "base"])
    monkeypatch.setattr(Pair, "__init__", lambda self, setup, *_: init(self, setup, lambda: True))
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 130
    *_, last = capsys.readouterr().err.splitlines()
    assert last == "blendin: stopped by you while the models were loaded"


BENCH_IN_A_CHILD = """
import os, signal, sys, threading
from blendin_local.jobs.bench import job
from blendin_local.cli import app as cli

delay = float(sys.argv.pop())

def soon(*_):
    threading.Timer(delay, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    return measure(*_)

measure, job.measure = job.measure, soon
cli.main()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT is sent to a process")
def test_ctrl_c_stops_a_benchmark(tmp_path):
    """A real SIGINT at any time of a benchmark: exit code 130, and one line that says why."""
    toy = make_toy(tmp_path / "toy.gguf", "plain")
    for delay in ("0.01", "0.2", "0.5"):
        command = ["bench", "--base", str(toy), "-c", "512", "--rounds", "60", delay]
        done = subprocess.run(
            [sys.executable, "-c", BENCH_IN_A_CHILD, *command],
            capture_output=True,
            check=False,
            cwd=ROOT,
            text=True,
            timeout=60,
        )
        assert done.returncode == 130, done.stderr
        assert done.stderr.splitlines()[-1] == "blendin: the benchmark was stopped by you"
        assert "ignored" not in done.stderr
