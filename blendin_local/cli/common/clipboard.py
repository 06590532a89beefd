"""Text to the clipboard: by the system's own tool, by tmux, or by the terminal.

Here: `copy_text`.
Not here: what is copied (`cli.chat.text_commands`).
Over ssh a tool of this machine has the wrong clipboard, so the terminal is asked, with the escape OSC 52. It
may ignore that, and does not answer: whoever copies is told which way was used.
Source: xterm, Control Sequences (OSC 52); tmux(1), load-buffer -w.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping

from rich.console import Console

from blendin_local.errors import UsageError

TIMEOUT_S = 5
INSTALL = "install wl-copy, xclip or xsel"
MAX_OSC_BYTES = 74_994  # of base64; some terminals ignore more


def copy_text(text: str, err: Console, env: Mapping[str, str] = os.environ) -> str:
    """Put a text on the clipboard.

    Args:
        text: The text.
        err: The terminal, if there is one.
        env: The environment, which says where the screen is.

    Returns:
        Which way was used, for a sentence: `with wl-copy`.

    Raises:
        UsageError: There is no way.
    """
    for command in _tools(env):
        if _feed(command, text):
            return f"with {command[0]}"
    if not err.is_terminal or err.is_dumb_terminal:
        raise UsageError(
            "there is no clipboard to copy to", "install wl-copy, xclip or xsel, or use a terminal"
        )
    encoded = base64.b64encode(text.encode())
    if len(encoded) > MAX_OSC_BYTES:
        raise UsageError(
            "the text is too long for the terminal's clipboard", "install wl-copy, xclip or xsel"
        )
    err.file.write(f"\x1b]52;c;{encoded.decode()}\x07")
    err.file.flush()
    return "through the terminal (OSC 52), if it allows that"


def _tools(env: Mapping[str, str]) -> Iterator[list[str]]:
    """The commands that may work here, those that are installed."""
    remote = "SSH_CONNECTION" in env or "SSH_TTY" in env
    found = [
        *([["wl-copy"]] if env.get("WAYLAND_DISPLAY") and not remote else []),
        *(
            [["xclip", "-selection", "clipboard"], ["xsel", "-ib"]]
            if env.get("DISPLAY") and not remote
            else []
        ),
        *([] if remote else [["pbcopy"], ["clip.exe"]]),
        *([["tmux", "load-buffer", "-w", "-"]] if env.get("TMUX") else []),
    ]
    yield from (command for command in found if shutil.which(command[0], path=env.get("PATH")))


def _feed(command: list[str], text: str) -> bool:
    """Whether a command took the text."""
    try:
        done = subprocess.run(
            command,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
