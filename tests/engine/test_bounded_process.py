"""A child process answers; each failure has its own error and leaves nothing behind."""

import os
from time import monotonic

import psutil
import pytest

from blendin_local.bounded_process import (
    BoundedProcess,
    ProcessDiedError,
    ProcessTimeoutError,
)

MODULE = "tests.engine.worker_modules"


@pytest.fixture
def child():
    """A child with 512 MiB."""
    one = BoundedProcess(MODULE, 2**29)
    yield one
    one.close()


def test_answers_again_and_again(child):
    """A child stays between requests, also large ones."""
    for request in (b"", b"one", os.urandom(2**20)):
        assert child.ask(request, 10) == request


def test_an_abort_is_reported_with_its_signal(child):
    """A child that aborts does not take its parent along."""
    with pytest.raises(ProcessDiedError, match="SIGABRT"):
        child.ask(b"abort", 10)


def test_what_it_said_last_is_kept(child):
    """What a child prints does not disturb the answers, and stands in the error."""
    with pytest.raises(ProcessDiedError, match="status 3") as caught:
        child.ask(b"exit", 10)
    assert "a last word" in caught.value.log


def test_it_is_ended_when_its_time_is_over(child):
    """A child that hangs is killed."""
    started = monotonic()
    with pytest.raises(ProcessTimeoutError):
        child.ask(b"sleep", 0.3)
    assert monotonic() - started < 5
    assert not psutil.pid_exists(child._process.pid)


def test_it_cannot_take_more_memory_than_it_was_given(child):
    """A child that wants a gibibyte of its 512 MiB does not get it."""
    with pytest.raises(ProcessDiedError) as caught:
        child.ask(b"fill", 30)
    assert "MemoryError" in caught.value.log


def test_the_user_may_stop_it(child):
    """A request to stop ends the child and the call."""
    with pytest.raises(KeyboardInterrupt):
        child.ask(b"sleep", 30, lambda: True)
    assert not psutil.pid_exists(child._process.pid)


def test_the_working_directory_is_not_searched_for_modules(tmp_path, monkeypatch):
    """A file of the working directory does not run because it is named like a standard module."""
    (tmp_path / "struct.py").write_text("raise SystemExit('run')")
    (tmp_path / "queue.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    one = BoundedProcess(MODULE, 2**29)
    try:
        assert one.ask(b"one", 10) == b"one"
    finally:
        one.close()
