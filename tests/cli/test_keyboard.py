"""Keys typed while an answer is written, and the terminal's settings after every way out."""

from __future__ import annotations

import os
import signal
import sys

import psutil
import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals of POSIX")

CHAT = f"{sys.executable} -m tests.scripted_pairs"
SETTINGS = "echo ended $?; stty -a"
QUIET = """
import sys
from blendin_local.cli.common.asking import ask
from blendin_local.cli.common.keyboard import quiet_keyboard
from blendin_local.views.theme import make_console
print("ready")
with quiet_keyboard():
    {body}
"""


def after(*commands):
    """A shell that leaves the terminal's settings alone, runs the commands and shows the settings."""
    return ("sh", "-c", "; ".join([*commands, SETTINGS]))


def quietly(body):
    return f"{sys.executable} -c '{QUIET.format(body=body)}'"


def wait_for_settings(screen):
    """The terminal shows keys and gives whole lines, as it did at the start."""
    screen.wait_for("ended")
    screen.wait_for("-extproc")
    words = screen.text().split()
    assert {"icanon", "echo", "isig", "iexten", "icrnl", "-noflsh"} <= set(words)


def program(screen):
    """The chat, a child of the shell."""
    [process] = psutil.Process(screen.child.pid).children()
    return process


def test_typed_ahead_keys_wait_for_the_next_prompt(open_screen):
    """Nothing typed appears in the answer; a whole line is asked next, the rest stands in the prompt."""
    screen = open_screen()
    screen.send("long\r")
    screen.wait_for("word5")
    screen.send("next\rhal")
    screen.wait_for("word60")
    screen.send("f\x7fves")
    screen.wait_for("Re: next")
    screen.wait_for("\n> halves")
    answer = " ".join(screen.text().partition("Re: word0")[2].partition("\n201.0")[0].split())
    assert "next" not in answer
    assert "halves" not in answer
    assert screen.text().count("next") == 2  # the question and its answer


def test_ctrl_c_leaves_no_mark_and_keeps_what_was_typed(open_screen):
    """The answer is stopped, and the next prompt has the keys."""
    screen = open_screen()
    screen.send("long\r")
    screen.wait_for("word5")
    screen.send("more")
    screen.send("\x03")
    screen.wait_for("stopped by you")
    screen.wait_for("\n> more")
    assert "^C" not in screen.text()


def test_a_line_typed_ahead_is_asked_in_a_plain_terminal_too(open_screen):
    """It is shown where it is asked, as it was not when it was typed."""
    screen = open_screen(TERM="dumb")
    screen.send("long\r")
    screen.wait_for("word5")
    screen.send("next\r")
    screen.wait_for("\n> next\nRe: next")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["prompt", "answer"])
def test_a_signal_leaves_the_terminal_as_it_was(open_screen, number, moment):
    """In the middle of an answer as at the prompt; the exit status names the signal."""
    screen = open_screen(argv=after(CHAT))
    if moment == "answer":
        screen.send("long\r")
        screen.wait_for("word5")
    assert not screen.shows_keys()
    program(screen).send_signal(number)
    wait_for_settings(screen)
    assert f"ended {128 + number}" in screen.text()


def test_leaving_the_chat_puts_the_settings_back(open_screen):
    """By Ctrl-D, also when it was typed ahead."""
    screen = open_screen(argv=after(CHAT))
    screen.send("long\r")
    screen.wait_for("word5")
    screen.send("\x04")
    wait_for_settings(screen)
    assert "ended 0" in screen.text()


def test_an_error_leaves_the_terminal_as_it_was(open_screen):
    """Whatever is raised within the block."""
    screen = open_screen(argv=after(quietly("raise RuntimeError")), ready="ready")
    wait_for_settings(screen)
    assert "ended 1" in screen.text()


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(open_screen):
    """Stopped in an answer and at the prompt; afterwards keys wait again, and the answer goes on."""
    screen = open_screen(argv=("sh", "-mc", "; ".join([CHAT, SETTINGS, "fg", "clear", "fg", "echo over"])))
    screen.send("long\r")
    screen.wait_for("word5")
    screen.send("\x1a")
    wait_for_settings(screen)
    screen.wait_for("word30")
    screen.wait_until(lambda: not screen.shows_keys(), "keys are still shown")
    assert "ended by" not in screen.text()
    screen.send("typed")
    screen.wait_for("\n> typed")
    screen.send("\x1a")
    screen.wait_until(lambda: "word0" not in screen.text(), "it was not stopped at the prompt")
    screen.send(" on\r")
    screen.wait_for("Re: typed on")
    screen.wait_for("ended by the guide")
    screen.leave()


def test_a_question_is_typed_visibly(open_screen):
    """Within the block a yes-or-no question has the terminal as it was."""
    body = 'print(ask("Go on?", make_console(sys.stderr)))'
    screen = open_screen(argv=after(quietly(body.replace("'", '"'))), ready="Go on?")
    screen.wait_until(screen.shows_keys, "keys are not shown")
    screen.send("yes\r")
    screen.wait_for("yes\nTrue")
    wait_for_settings(screen)


def test_nothing_changes_where_the_answer_goes_to_a_pipe(open_screen):
    """Its reader may be a pager with settings of its own."""
    screen = open_screen(argv=("sh", "-c", quietly("input()") + " | cat"), ready="ready")
    assert screen.shows_keys()
