"""What the printer of answers writes to a terminal, and what it never writes."""

from __future__ import annotations

import io
import os
import re

import pytest

from blendin_local.views.answer_printer import AnswerPrinter
from blendin_local.views.theme import make_console
from tests.answers import Terminal, asked_step, base_step, completion
from tests.views.markdown_answers import ANSWERS
from tests.views.terminals import Emulator

LONG = "one two three four five six seven eight nine ten eleven twelve " * 4


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def printed(text, stream, *, color="auto", width=40, markdown=True, theme="dark"):
    console = make_console(stream, color, theme)
    console.width = width
    printer = AnswerPrinter(console, markdown=markdown)
    for i, part in enumerate(re.findall(r" ?\w{1,4}|\s|[^\w\s]+", text)):
        step = (base_step if i % 3 else asked_step)(i, part.encode())
        printer.feed(step, part)
    printer.finish()
    return stream.getvalue()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_pipe_gets_the_text_alone(name):
    """Neither wrapping nor Markdown changes what is no terminal, even where colours are forced."""
    text = ANSWERS[name]
    assert printed(text, io.StringIO()) == text
    forced = printed(text, io.StringIO(), color="on")
    assert re.sub(r"\x1b\[[0-9;]*m", "", forced) == text


def test_words_are_whole_on_a_terminal():
    """Rows end between words, and only colours are written besides them."""
    written = printed(LONG, Terminal())
    rows = re.sub(r"\x1b\[[0-9;]*m", "", written).splitlines()
    assert all(len(row.rstrip()) <= 40 for row in rows)
    assert " ".join(rows).split() == LONG.split()


def test_a_dumb_terminal_is_only_appended_to(monkeypatch):
    """Words are wrapped there too, without an escape sequence, and Markdown stays as it was written."""
    monkeypatch.setenv("TERM", "dumb")
    text = "see **https://example.org/a/very/long/address/that/is/longer/than/a/row** and more words "
    written = printed(text, Terminal(), width=40)
    assert "\x1b" not in written
    assert "".join(written.split()) == "".join(text.split())


def test_a_mark_wins_over_the_colour_of_code():
    """A changed step within code has the mark's colour; a step of the base has the code's."""
    stream = Terminal()
    printer = AnswerPrinter(make_console(stream, theme="dark"), markdown=True)
    for step in (base_step(0, b"`aa"), asked_step(1, b" bb"), base_step(2, b"`")):
        printer.feed(step, step.text)
    printer.finish()
    assert "\x1b[38;5;114maa" in stream.getvalue()
    assert "\x1b[1;4;38;5;81mbb" in stream.getvalue()


@pytest.mark.parametrize(("color", "theme"), [("off", "dark"), ("auto", "mono")])
def test_code_keeps_its_backticks_without_colours(color, theme):
    """Where no style shows code, its marks do."""
    assert "`" in printed("use `ls` now", Terminal(), color=color, theme=theme)
    assert "`" not in printed("use `ls` now", Terminal())


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_shown_again_looks_the_same(name):
    """Both ways of printing end with the same screen."""
    text = ANSWERS[name]
    steps = [base_step(i, part.encode()) for i, part in enumerate(re.findall(r"\s?\S{1,3}|\s", text))]
    screens = []
    for show in (lambda printer: printer.print(completion(*steps)), lambda printer: printer.print(text)):
        stream, emulator = Terminal(), Emulator(80)
        show(AnswerPrinter(make_console(stream), markdown=True))
        emulator.feed(stream.getvalue())
        screens.append(emulator.rows())
    assert screens[0] == screens[1]


def test_what_a_stop_string_cut_off_is_not_shown_again():
    """A step that it cut shows its kept part, a step behind it nothing."""
    stream = Terminal()
    cut = completion(
        base_step(0, b"Yes. Q"), base_step(1, b"uestion:"), stopped_by="stop_string", text="Yes. "
    )
    AnswerPrinter(make_console(stream)).print(cut)
    assert stream.getvalue().split() == ["Yes."]


def test_what_is_held_is_written_when_an_answer_breaks_off():
    """`flush` shows the last word and unfinished emphasis as it was written."""
    stream = Terminal()
    printer = AnswerPrinter(make_console(stream), markdown=True)
    printer.feed(base_step(0, b"a word and **bo"), "a word and **bo")
    assert "**bo" not in stream.getvalue()
    printer.flush()
    assert stream.getvalue() == "a word and **bo"


def test_the_width_is_read_for_each_step():
    """The next line after a change of size has the new width."""
    master, slave = os.openpty()
    import fcntl
    import select
    import struct
    import termios

    def resize(columns):
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    with os.fdopen(slave, "w") as stream:
        resize(30)
        console = make_console(stream)
        printer = AnswerPrinter(console)
        printer.feed(base_step(0, b"one two three four "), "one two three four ")
        resize(12)
        printer.feed(base_step(1, b"five six seven"), "five six seven")
        printer.finish()
        shown = b""
        while not shown.endswith(b"seven\r\n"):  # a terminal gives what it has so far
            assert select.select([master], [], [], 5)[0], shown
            shown += os.read(master, 1000)
    os.close(master)
    assert shown.decode().replace("\r", "") == "one two three four\nfive six\nseven\n"
