"""Commands of a chat on a real pseudo-terminal: editor, clipboard, forks, another pair, a first message."""

from __future__ import annotations

import base64
import sys

import pytest

from tests.pty_screen import CHAT, Screen


@pytest.fixture
def open_screen(tmp_path):
    opened = []

    def opener(*arguments, **options):
        opened.append(Screen(tmp_path, (*CHAT, *arguments), **options))
        return opened[-1]

    yield opener
    for screen in opened:
        screen.child.close(force=True)


def editor(folder, script):
    path = folder / "editor.py"
    path.write_text(f"#!{sys.executable}\nimport sys\npath = sys.argv[-1]\n{script}\n")
    path.chmod(0o755)
    return str(path)


def typed(screen, line, answer):
    screen.send(f"{line}\r")
    screen.wait_for(answer)


def test_a_first_message_is_shown_and_answered(open_screen):
    """As if it had been typed; then the prompt waits."""
    screen = open_screen("hello there", ready="\n> hello there")
    screen.wait_for("Re: hello there")
    typed(screen, "more", "Re: more")
    assert screen.leave() == 0


def test_retry_offers_another_seed(open_screen):
    """The command to type stands in the notice, and works."""
    screen = open_screen()
    typed(screen, "hello", "ended by the guide")
    typed(screen, "/retry", "/retry 0.7 answers")
    screen.send("/retry 0.7\r")
    screen.wait_for("Re: hello", times=2)


def test_an_answer_is_forked_and_brought_back(open_screen):
    """In 40 columns as in 80."""
    for columns in (80, 40):
        screen = open_screen(columns=columns)
        typed(screen, "hello", "ended by the guide")
        typed(screen, "/why hello", "step 1 ·hello")
        typed(screen, "/fork 1 there", "Re: there then")
        screen.send("/back\r")
        screen.wait_for("Re: hello", times=2)
        assert screen.leave() == 0


def test_another_context_size_opens_the_pair_anew(open_screen):
    """It is said before and after, and an error leaves the chat going."""
    screen = open_screen()
    typed(screen, "hello", "ended by the guide")
    typed(screen, "/set ctx-size 500", "The conversation stays (1 turn).")
    assert "Opening the pair anew with ctx-size 500" in screen.text()
    typed(screen, "/set ctx-size 13", "error: no context of 13 tokens")
    typed(screen, "more", "Re: more")
    assert screen.leave() == 0


def test_what_an_editor_saves_is_sent(open_screen, tmp_path):
    """It begins with the last question, and what was sent is shown."""
    script = "text = open(path).read()\nopen(path, 'w').write(text.strip() + ' and\\nmore')"
    screen = open_screen(VISUAL=editor(tmp_path, script))
    typed(screen, "hello", "ended by the guide")
    typed(screen, "/edit", "> hello and")
    screen.wait_for("Re: hello and\nmore")
    typed(screen, "/edit draft", "Re: draft and\nmore")
    assert screen.leave() == 0


@pytest.mark.parametrize("script", ["pass", "open(path, 'w').write(' ')"], ids=["left", "emptied"])
def test_an_editor_that_saves_nothing_sends_nothing(open_screen, tmp_path, script):
    """Left without saving, or saved empty."""
    screen = open_screen(EDITOR=editor(tmp_path, script))
    typed(screen, "/edit some draft", "Nothing was saved, so nothing is sent.")
    assert "Re:" not in screen.text()
    assert screen.leave() == 0


def test_an_editor_that_fails_is_one_line(open_screen):
    """The chat goes on."""
    screen = open_screen(EDITOR="/no/such/editor")
    typed(screen, "/edit", "error: the editor failed")
    assert screen.leave() == 0


def test_the_line_is_taken_to_the_editor(open_screen, tmp_path):
    """Ctrl-X Ctrl-E, as in a shell; what is saved is sent."""
    script = "text = open(path).read()\nopen(path, 'w').write(text.strip() + ' edited')"
    screen = open_screen(EDITOR=editor(tmp_path, script))
    screen.send("line\x18\x05")
    screen.wait_for("Re: line edited")
    assert screen.leave() == 0


def test_the_terminal_copies_where_no_tool_does(open_screen):
    """Over ssh: OSC 52 with the raw text, and the notice says so."""
    screen = open_screen(SSH_TTY="/dev/pts/1")
    typed(screen, "hello", "ended by the guide")
    typed(screen, "/copy", "OSC 52")
    assert f"\x1b]52;c;{base64.b64encode(b'Re: hello').decode()}\x07" in screen.raw
    assert "Copied 9 characters" in screen.text()
    assert screen.leave() == 0
