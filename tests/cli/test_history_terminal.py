"""Conversations that are kept, continued, saved and loaded, at a pseudo-terminal."""

from __future__ import annotations

import sys

import pytest

from tests.pty_screen import Screen
from tests.toys import make_toy

OPTIONS = ("-t", "1", "-n", "6", "--no-loop-guard", "--threshold", "0.15")


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Two toy models as options."""
    folder = tmp_path_factory.mktemp("models")
    base, guide = make_toy(folder / "base.gguf", "sliding"), make_toy(folder / "guide.gguf", "plain", seed=1)
    return ("--base", str(base), "--guide", str(guide), *OPTIONS)


@pytest.fixture
def blendin(tmp_path):
    """Start the program in a terminal; its history, home and typed lines are the test's own."""
    opened = []

    def start(*arguments, ready="\n>", **options):
        variables = {"BLENDIN_HISTORY": str(tmp_path / "history.db"), "XDG_CONFIG_HOME": str(tmp_path)}
        argv = (sys.executable, "-m", "blendin_local", *arguments)
        opened.append(Screen(tmp_path, argv, ready=ready, **variables, **options))
        return opened[-1]

    yield start
    for screen in opened:
        screen.child.close(force=True)


def ask(screen, question, times=1):
    """Ask, and wait until so many answers are finished."""
    screen.send(f"{question}\r")
    screen.wait_for("--max-tokens", times)


def leave(screen):
    screen.send("\x04")
    return screen.exit_status()


@pytest.mark.parametrize("columns", [80, 40])
def test_a_chat_is_continued_where_it_was_left(blendin, toys, columns):
    """It says what it goes on with, shows the last turn, and /why works on that before anything is asked."""
    first = blendin("chat", *toys, columns=columns)
    ask(first, "hello there")
    assert leave(first) == 0
    again = blendin("chat", "--continue", columns=columns)
    assert "Going on with conversation 1" in again.text()
    assert "> hello there" in again.text()
    again.send("/why\r")
    again.wait_for("step ")
    ask(again, "and then")
    assert leave(again) == 0
    shown = blendin("logs", "1", ready="and then", columns=columns)
    assert "> hello there" in shown.text()
    assert "2 turns" in " ".join(shown.text().split())


def test_an_interrupted_answer_is_in_the_history(blendin, toys):
    """As far as it got when Ctrl-C stopped it."""
    screen = blendin("chat", *toys, "-n", "100000", "-c", "2048")
    screen.send("hello\r")
    screen.wait_until(lambda: len(screen.text().partition("hello")[2].strip()) > 40, "no answer began")
    screen.send("\x03")
    screen.wait_for("stopped by you")
    assert leave(screen) == 0
    assert "hello" in blendin("logs", ready="hello").text()
    blendin(
        "logs", "1", "--json", ready='"stopped_by": "user"', columns=400, rows=2000
    )  # as many as it wrote


def test_a_killed_chat_has_every_finished_turn(blendin, toys):
    """Kill -9 at the prompt loses nothing."""
    screen = blendin("chat", *toys)
    ask(screen, "first")
    ask(screen, "second", times=2)
    screen.wait_until(lambda: screen.text().endswith(">"), "no prompt came")
    screen.child.kill(9)
    shown = blendin("logs", "1", ready="> second")
    assert "> first" in shown.text()


def test_save_asks_before_it_replaces_and_load_brings_the_steps_back(blendin, toys, tmp_path):
    """A no leaves the file; a yes replaces it; /save! does not ask; /why works after /load."""
    screen = blendin("chat", *toys)
    ask(screen, "first")
    screen.send("/save talk.jsonl\r")
    screen.wait_for("Saved 1 turn")
    before = (tmp_path / "talk.jsonl").read_bytes()
    ask(screen, "second", times=2)
    screen.send("/save talk.jsonl\r")
    screen.wait_for("Replace it? [y/N]")
    screen.send("n\r")
    screen.wait_for("Not saved")
    assert (tmp_path / "talk.jsonl").read_bytes() == before
    screen.send("/save talk.jsonl\r")
    screen.wait_for("Replace it? [y/N]", times=2)
    screen.send("y\r")
    screen.wait_for("Saved 2 turns")
    screen.send("/save! talk.jsonl\r")
    screen.wait_for("Saved 2 turns", times=2)
    leave(screen)
    other = blendin("chat", *toys, "--no-log")
    other.send("/load talk.jsonl\r")
    other.wait_for("Loaded 2 turns")
    other.send("/why\r")
    other.wait_for("step ")
    other.wait_for("guide")


def test_no_log_keeps_neither_the_conversation_nor_the_lines(blendin, toys, tmp_path):
    """Nothing that was typed is in any file of the user."""
    screen = blendin("chat", *toys, "--no-log")
    ask(screen, "a secret")
    leave(screen)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"a secret" in path.read_bytes() for path in files)
    assert not (tmp_path / "history.db").exists()


def test_logs_asks_before_it_deletes(blendin, toys):
    """A no deletes nothing, a yes does."""
    screen = blendin("chat", *toys)
    ask(screen, "keep me")
    leave(screen)
    asked = blendin("logs", "--delete", "1", ready="delete 1 conversation? [y/N]")
    asked.send("n\r")
    asked.wait_for("nothing was done")
    assert "keep me" in blendin("logs", ready="keep me").text()
    asked = blendin("logs", "--clear", ready="all there are? [y/N]")
    asked.send("y\r")
    asked.wait_for("1 conversation deleted")
    blendin("logs", ready="no conversations yet")
