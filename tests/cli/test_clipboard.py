"""Ways to the clipboard, with tools that write what they get into a file."""

from __future__ import annotations

import io
import os

import pytest

from blendin_local.cli.common.clipboard import copy_text
from blendin_local.errors import UsageError
from blendin_local.views.theme import make_console
from tests.answers import Terminal

HERE = {"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Makes tools by name, and gives the environment that finds them alone."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def make(*names, status=0):
        for name in names:
            path = tmp_path / name
            path.write_text(f'#!/bin/sh\ncat > "{tmp_path}/{name}.txt"; exit {status}\n')
            path.chmod(0o755)
        return {"PATH": str(tmp_path)}

    return make


def test_the_tool_of_the_screen_is_used(tools, tmp_path):
    """Wayland's before X11's; the bytes arrive as they are."""
    env = tools("wl-copy", "xclip")
    assert copy_text("naïve\n", make_console(io.StringIO()), env | HERE) == "with wl-copy"
    assert (tmp_path / "wl-copy.txt").read_text() == "naïve\n"
    assert not (tmp_path / "xclip.txt").exists()
    only_x11 = env | {"DISPLAY": ":0"}
    assert copy_text("x", make_console(io.StringIO()), only_x11) == "with xclip"


def test_a_tool_that_fails_is_passed_over(tools):
    """The next one is tried."""
    tools("xsel")
    env = tools("wl-copy", status=1)
    assert copy_text("x", make_console(io.StringIO()), env | HERE) == "with xsel"


def test_over_ssh_tools_of_this_machine_have_the_wrong_clipboard(tools, tmp_path):
    """The terminal is asked, or tmux, which reaches the terminal from there."""
    env = tools("wl-copy") | HERE | {"SSH_CONNECTION": "1 2 3 4"}
    terminal = Terminal()
    assert "OSC 52" in copy_text("x", make_console(terminal, "on"), env)
    assert terminal.getvalue() == "\x1b]52;c;eA==\x07"
    tools("tmux")
    assert copy_text("x", make_console(Terminal()), env | {"TMUX": "/tmp/tmux"}) == "with tmux"


def test_without_any_way_it_says_what_to_install(tools):
    """Also where the text is longer than terminals take."""
    with pytest.raises(UsageError, match="no clipboard"):
        copy_text("x", make_console(io.StringIO()), tools())
    with pytest.raises(UsageError, match="too long"):
        copy_text("x" * 60_000, make_console(Terminal(), "on"), tools())
