"""The line that is shown while models load and prompts are read, and is gone afterwards."""

from __future__ import annotations

import os
import re
import sys

import pytest

from blendin_local.cli.common.status import loading_text, reading_text
from blendin_local.decode.loaded_model import LoadProgress
from blendin_local.decode.role_context import PromptReading
from tests.cli_runner import blendin

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals of POSIX")

SCRIPT = """
import sys, time
from blendin_local.cli.common.status import starting
from blendin_local.views.theme import make_console
err = make_console(sys.stderr)
err.quiet = {quiet}
print("begin")
with starting(err) as status:
    status.show("{text}")
    time.sleep({seconds})
    status.clear()
    print("the first word")
    time.sleep(0.5)
print("over")
"""


def showing(text="loading the base", seconds=1.0, quiet=False):
    return (sys.executable, "-c", SCRIPT.format(text=text, seconds=seconds, quiet=quiet))


def read_to_the_end(screen):
    """The line, if it was ever on the screen."""
    seen = set()

    def over():
        seen.update(line for line in screen.text().splitlines() if "loading" in line)
        return "over" in screen.text()

    screen.wait_until(over, "it did not end")
    return seen


def test_the_line_is_shown_and_leaves_nothing(open_screen):
    """Its sign moves; when it is cleared the next word stands in its place."""
    screen = open_screen(argv=showing(), ready="begin")
    assert len(read_to_the_end(screen)) > 1
    assert screen.text().splitlines() == ["begin", "the first word", "over"]


def test_a_short_wait_shows_nothing(open_screen):
    """No line flickers."""
    screen = open_screen(argv=showing(seconds=0.01), ready="begin")
    assert not read_to_the_end(screen)
    assert "loading" not in screen.raw


@pytest.mark.parametrize(("quiet", "term"), [(True, "xterm-256color"), (False, "dumb")])
def test_no_line_for_those_who_cannot_or_will_not_see_it(open_screen, quiet, term):
    """`--quiet`, and a terminal that cannot erase."""
    screen = open_screen(argv=showing(quiet=quiet), ready="begin", TERM=term)
    assert not read_to_the_end(screen)
    assert "\x1b" not in screen.raw


def test_it_stays_on_one_line_of_a_narrow_terminal(open_screen):
    """What does not fit is cut."""
    screen = open_screen(argv=showing(text="loading " + "x" * 60), ready="begin", columns=40)
    seen = read_to_the_end(screen)
    assert seen
    assert all(line.endswith("…") for line in seen)
    assert screen.text().splitlines() == ["begin", "the first word", "over"]


def test_what_it_says():
    """Role and size; role, tokens and percent."""
    assert loading_text(LoadProgress("load", "base", None, 1_100_000_000)) == "loading the base: 1.10 GB"
    assert loading_text(LoadProgress("trial", "guide", None, 98_000_000)) == "trying the guide: 98 MB"
    assert reading_text(PromptReading("base", 512, 2048)) == "the base reads 2,048 tokens: 25 %"


def a_long_question(folder, words=700):
    path = folder / "question.txt"
    path.write_text("river boats carry bread past old houses " * (words // 7))
    return path


def running(*arguments):
    command = " ".join(map(str, (sys.executable, "-m", "blendin_local", *arguments)))
    return ("sh", "-c", f"{command}; echo ended $?")


def test_loading_and_reading_are_shown_by_run(open_screen, tmp_path, demo_base_path, demo_guide_path):
    """The files with their sizes, then the percent of the prompt; nothing of it stays, nor do keys."""
    pair = ("--base", demo_base_path, "--guide", demo_guide_path, "--threads", 1)
    argv = running("run", "-f", a_long_question(tmp_path), *pair, "-n", 3)
    screen = open_screen(argv=argv, ready="")
    screen.wait_for("loading the base: 253 MB")
    screen.send("typed")
    screen.wait_for("the base reads")
    screen.wait_for("ended 0")
    assert len(set(re.findall(r"the base reads [0-9,]+ tokens: ([0-9]+) %", screen.raw))) > 3
    assert not re.search("loading|reads|typed", screen.text())


@pytest.mark.parametrize("moment", ["loading the base", "the base reads"])
def test_ctrl_c_while_it_is_shown(open_screen, tmp_path, demo_base_path, demo_guide_path, moment):
    """One line says what was stopped, the exit code is 130, and the line is gone."""
    pair = ("--base", demo_base_path, "--guide", demo_guide_path, "--threads", 1)
    argv = (sys.executable, "-m", "blendin_local", "run", "-f", a_long_question(tmp_path), *pair)
    screen = open_screen(argv=tuple(map(str, argv)), ready="")
    screen.wait_for(moment)
    screen.send("\x03")
    screen.wait_for("stopped by you")
    assert screen.exit_status() == 130
    assert len(screen.text().splitlines()) == 1, screen.text()
    assert "stopped by you" in screen.text()
    assert "^C" not in screen.text()


def test_no_line_outside_a_terminal(tmp_path, demo_base_path, demo_guide_path):
    """Stderr has the footer and nothing else of it."""
    pair = ("--base", demo_base_path, "--guide", demo_guide_path, "--threads", 1)
    code, _, err = blendin("run", "-f", a_long_question(tmp_path, 400), *pair, "-n", 3)
    assert code == 0
    assert not re.search("loading|reads|\x1b", err)
