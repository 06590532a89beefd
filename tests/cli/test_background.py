"""The question for the terminal's background, on a pseudo-terminal whose other end the test plays."""

from __future__ import annotations

import ast
import os
import sys
import time

import pexpect
import pytest

from blendin_local.cli.common.background import QUESTIONS, parse_color, without_replies
from tests.paths import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals of POSIX")

WHITE, DEVICE = "\x1b]11;rgb:ffff/ffff/ffff\x07", "\x1b[?62;22c"
ASK = """
import sys, termios, time
from blendin_local.cli.common.background import terminal_background
kept = []
time.sleep({pause_s})
before = termios.tcgetattr(0)
found = terminal_background({keep}, timeout_s=0.5)
print("found", (found, b"".join(kept), termios.tcgetattr(0) == before))
"""


@pytest.fixture
def ask():
    """Start the question in a process of its own; the result is read with `result`."""
    children = []

    def start(keep="kept.append", term="xterm-256color", typed=""):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": term}
        script = ASK.format(keep=keep, pause_s=0.5 if typed else 0)
        child = pexpect.spawn(sys.executable, ["-c", script], env=env, timeout=10)
        children.append(child)
        child.send(typed)
        return child

    yield start
    for child in children:
        child.close(force=True)


def result(child):
    """The colour, what was kept, and whether the terminal has its settings back."""
    child.expect(r"found (\(.*\))\r\n")
    return ast.literal_eval(child.match[1].decode())


def test_a_terminal_says_its_background(ask):
    """The colour is read, and keys typed meanwhile are kept in their order."""
    child = ask()
    child.expect_exact(QUESTIONS)
    child.send("hel" + WHITE + "lo" + DEVICE)
    assert result(child) == ((255, 255, 255), b"hello", True)


def test_a_terminal_that_does_not_know_the_question_costs_no_wait(ask):
    """It answers only what it is: that ends the wait."""
    child = ask()
    child.expect_exact(QUESTIONS)
    started = time.monotonic()
    child.send(DEVICE)
    assert result(child) == (None, b"", True)
    assert time.monotonic() - started < 0.4


def test_a_terminal_that_answers_nothing_is_left_after_the_timeout(ask):
    """No colour, the keys are kept, and the settings are back."""
    child = ask()
    child.expect_exact(QUESTIONS)
    child.send("abc")
    assert result(child) == (None, b"abc", True)


def test_a_slow_link_is_waited_for(ask):
    """Replies in pieces and late are no keys."""
    child = ask()
    child.expect_exact(QUESTIONS)
    for part in (WHITE[:7], WHITE[7:] + DEVICE[:3], DEVICE[3:]):
        time.sleep(0.1)
        child.send(part)
    assert result(child) == ((255, 255, 255), b"", True)


def test_waiting_keys_prevent_the_question_where_nobody_keeps_them(ask):
    """They stay where they are, for whoever reads next."""
    child = ask(keep="None", typed="ls")
    assert result(child) == (None, b"", True)
    assert QUESTIONS not in child.before


@pytest.mark.parametrize("term", ["dumb", "linux", ""])
def test_some_terminals_are_never_asked(ask, term):
    """They would print the question."""
    child = ask(term=term)
    assert result(child) == (None, b"", True)
    assert QUESTIONS not in child.before


def test_colours_as_terminals_write_them():
    """One to four hex digits are the same share of full; anything else is no colour."""
    for digits in ("f", "ff", "fff", "ffff"):
        assert parse_color(f"rgb:{digits}/{'0' * len(digits)}/{digits}") == (255, 0, 255)
    assert parse_color("rgba:1e1e/2020/2424/ffff") == (30, 32, 36)
    assert parse_color("#1E2024") == (30, 32, 36)
    assert parse_color("black") is None
    assert parse_color("rgb:1/2") is None


def test_replies_are_told_from_keys():
    """An arrow key and a lone Escape stay."""
    keys = b"\x1b[A\x1bhi\r"
    assert without_replies(keys[:3] + WHITE.encode() + keys[3:] + DEVICE.encode()) == keys
