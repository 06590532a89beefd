"""The chat on a real pseudo-terminal, read back through a terminal emulator."""

from __future__ import annotations

import os
import re

import pytest

PASTE = "\x1b[200~{}\x1b[201~"


def test_a_question_is_answered_and_ctrl_d_leaves(open_screen):
    """The changed word is bold and underlined, the footer follows, and the exit is clean."""
    screen = open_screen()
    screen.send("hello\r")
    screen.wait_for("ended by the guide")
    assert "Re: hello" in screen.text()
    assert "\x1b[1;4mhello\x1b[0m" in screen.raw
    assert screen.leave() == 0


@pytest.mark.parametrize(
    ("variables", "color"),
    [
        ({"COLORFGBG": "15;0"}, ";38;5;81"),
        ({"COLORFGBG": "0;15"}, ";38;5;24"),
        ({"COLORFGBG": "0;15", "BLENDIN_THEME": "dark"}, ";38;5;81"),
        ({"COLORFGBG": "15;0", "BLENDIN_THEME": "mono"}, ""),
    ],
)
def test_the_theme_follows_the_background_or_the_user(open_screen, variables, color):
    """A known background decides; what the user asked for wins, and `/set theme` changes it."""
    screen = open_screen(**variables)
    screen.send("hello\r")
    screen.wait_for("ended by the guide")
    assert f"\x1b[1;4{color}mhello\x1b[0m" in screen.raw
    screen.send("/set theme light\r")
    screen.wait_for("theme is light")
    screen.send("again\r")
    screen.wait_for("Re: again")
    assert "\x1b[1;4;38;5;24magain\x1b[0m" in screen.raw


def test_the_warning_is_whole_once_and_then_a_sign(open_screen):
    """Every footer above 20 % has the sign; the sentence comes with the first one only."""
    screen = open_screen()
    screen.send("one\r")
    screen.wait_for("Warning (!)")
    screen.send("two\r")
    screen.wait_for("Re: two")
    screen.send("/stats\r")
    screen.wait_for("all")
    assert screen.text().count("50.0 % asked (!)") >= 2
    assert screen.text().count("Warning") == 1


def test_choosing_a_view_shows_its_legend(open_screen):
    """/view prob explains the marks, and /view alone all of them; so does the welcome."""
    screen = open_screen()
    assert "changed by the guide · kept though the guide was asked" in screen.text()
    screen.send("/view prob\r")
    screen.wait_for("80 % or more · from 40 % · from 10 % · below 10 %")
    screen.send("/view\r")
    screen.wait_for("/view plain")
    assert screen.text().count("kept though the guide was asked") == 2


def test_a_dumb_terminal_of_forty_columns_is_measured(open_screen):
    """Its lines end at words and its tables fit, although it understands no escapes."""
    screen = open_screen(columns=40, TERM="dumb", BLENDIN_MARKS="on")
    screen.send("hello\r")
    screen.wait_for("lower threshold")
    screen.send("/why\r")
    screen.wait_for("·I    21 %")
    assert "_kept_ though the guide was asked\n" in screen.text()
    assert "[changed] by the guide\n" in screen.text()


def test_marks_on_are_characters_on_a_dumb_terminal(open_screen):
    """Where no style can be shown, brackets mark the changed word, and the legend shows them."""
    screen = open_screen(TERM="dumb", BLENDIN_MARKS="on")
    screen.send("hello\r")
    screen.wait_for("ended by the guide")
    assert "Re: [hello]" in screen.text()
    assert "\x1b[" not in screen.raw


def test_a_paste_of_several_lines_is_one_message(open_screen):
    """Line breaks in a bracketed paste send nothing until Enter."""
    screen = open_screen()
    screen.send(PASTE.format("first\rsecond"))
    screen.wait_for("second")
    assert "Re:" not in screen.text()
    screen.send("\r")
    screen.wait_for("ended by the guide")
    assert "Re: first\nsecond" in screen.text()


def test_alt_enter_and_blocks_make_several_lines(open_screen):
    """Both are one message; a line in a block that begins with a slash is no command."""
    screen = open_screen()
    screen.send("up\x1b\rdown\r")
    screen.wait_for("ended by the guide")
    assert "Re: up\ndown" in screen.text()
    screen.send('"""\r')
    screen.wait_for("\n…")
    screen.send('/exit\r"""\r')
    screen.wait_for("Re: /exit")


def test_ctrl_c_stops_an_answer_and_keeps_it(open_screen):
    """The footer says who stopped, and the next question goes on."""
    screen = open_screen()
    screen.send("long\r")
    screen.wait_for("word5")
    screen.send("\x03")
    screen.wait_for("stopped by you")
    assert "word199" not in screen.text()
    screen.send("/tokens changed\r")
    screen.wait_for("·word0")
    assert screen.leave() == 0


def test_ctrl_c_at_an_empty_prompt_says_how_to_leave(open_screen):
    """It does not leave, and no traceback is seen."""
    screen = open_screen()
    screen.send("\x03")
    screen.wait_for("Ctrl-D or /exit leaves.")
    screen.send("/nosuch\r")
    screen.wait_for("error: there is no command /nosuch")
    screen.send("/exit\r")
    screen.wait_for("left")
    assert "Traceback" not in screen.text()


def test_forty_columns(open_screen):
    """No fact of the footer is torn."""
    screen = open_screen(columns=40)
    screen.send("hello\r")
    screen.wait_for("ended by the guide")
    assert "50.0 % asked" in screen.text()
    screen.send("/why\r")
    screen.wait_for("66 %")


def test_a_dumb_terminal_gets_plain_text(open_screen):
    """No escape sequence comes, from the answer as from the prompt."""
    screen = open_screen(TERM="dumb")
    screen.send("hello\r")
    screen.wait_for("ended by the guide")
    assert "Re: hello" in screen.text()
    assert "\x1b" not in screen.raw
    assert screen.leave() == 0


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_an_answer_is_wrapped_and_shown_as_markdown(open_screen, columns):
    """No word is broken at the edge, marks of Markdown are styles, code is whole, and marks of steps stay."""
    screen = open_screen(columns=columns)
    screen.send("markdown\r")
    screen.wait_for("ended by the guide")
    text = screen.text()
    words = set(re.findall(r"\w+", text))
    assert {"nearly", "everything", "membranes", "energy", "thylakoid", "thanks"} <= words
    assert "How a plant makes sugar" in text
    assert "• Light reactions: water" in text
    assert 'thanks <img src="x"> it.' in " ".join(text.split())
    assert "sugar = calvin_cycle(light_reactions(water=6, photons=48), carbon_dioxide=6)" in text.replace(
        "\n", ""
    )
    assert "**" not in text
    assert "Stage" in text
    assert "│ thylakoid" in text
    assert "\x1b[1;4" in screen.raw


def test_a_resize_in_mid_answer_wraps_the_next_line(open_screen):
    """Lines that begin after it have the new width, and every word is there once."""
    screen = open_screen(columns=80)
    screen.send("long\r")
    screen.wait_for("word20")
    screen.resize(40)
    screen.wait_for("ended by the guide")
    after = screen.raw.partition("word40")[2]
    rows = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", after).split("\r\n")
    assert all(len(row) <= 40 for row in rows[1:12])
    assert re.findall(r"word\d+", screen.raw) == [f"word{i}" for i in range(200)]


def test_no_color_keeps_the_marks(open_screen):
    """Bold and underline stay; no colour is set anywhere."""
    screen = open_screen(NO_COLOR="1")
    screen.send("hello\r")
    screen.wait_for("ended by the guide")
    assert "\x1b[1;4mhello\x1b[0m" in screen.raw
    assert not any(f"\x1b[{code}" in screen.raw for code in ("31", "32", "33", "38;", "0;38", "0;32", "96"))


def test_history_outlives_a_chat_unless_refused(open_screen, tmp_path):
    """Up brings back a question from the chat before."""
    screen = open_screen()
    screen.send("remember me\r")
    screen.wait_for("ended by the guide")
    screen.leave()
    again = open_screen()
    again.send("\x1b[A")
    again.wait_for("remember me")
    again.send("\r")
    again.wait_for("Re: remember me")
    again.wait_for("ended by the guide")
    again.leave()
    secret = open_screen(BLENDIN_NO_HISTORY="1")
    secret.send("a secret\r")
    secret.wait_for("ended by the guide")
    secret.leave()
    assert "a secret" not in (tmp_path / "blendin-local" / "chat_history").read_text()


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_a_byte_that_is_no_text_costs_one_message(open_screen, term):
    """Typed or pasted, it is refused in a line, and the next message is answered."""
    screen = open_screen(TERM=term)
    os.write(screen.child.child_fd, b"caf\xe9\r")
    screen.wait_for("error: the message is not UTF-8: byte 0xe9 after 3 characters")
    os.write(screen.child.child_fd, "café\r".encode())
    screen.wait_for("Re: café")
    screen.wait_for("ended by the guide")
    screen.send("/load ~no-such-user/x\r")
    screen.wait_for("cannot be read")
    screen.send("/why " + "7" * 100 + "\r")
    screen.wait_for("there is no step")
    assert screen.leave() == 0


def test_tab_offers_what_may_follow_a_command(open_screen):
    """Commands, names of settings and their words are listed under the line; Tab takes the first of them."""
    screen = open_screen()
    screen.send("/vi")
    screen.wait_for("choose what the marks show")
    screen.send("\t")
    screen.wait_for("> /view")
    screen.send(" pro")
    screen.wait_for("\n            prob")
    screen.send("\x15/set bri")
    screen.wait_for("bridge")
    screen.send("\t")
    screen.wait_for("> /set bridge")
    screen.send(" pre")
    screen.wait_for("prefix")
    screen.send("\t")
    screen.wait_for("> /set bridge prefix")
    screen.send("\r")
    screen.wait_for("bridge is prefix.")
