"""A program on a pseudo-terminal, read back through a terminal emulator."""

from __future__ import annotations

import os
import sys
import termios
import time

import pexpect
import pyte

from tests.paths import ROOT

WAIT_S = 30
CHAT = (sys.executable, "-m", "tests.scripted_pairs")
SHELL = ("bash", "--norc", "--noprofile", "-i")


class Screen:
    """A program in a terminal of its own; by default a chat on a scripted pair."""

    def __init__(self, folder, argv=CHAT, columns=80, rows=60, ready="\n>", **variables):
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        env = {**kept, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder), "PYTHONUTF8": "1"}
        env |= {"TERM": "xterm-256color", **variables}
        self.raw = ""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)
        command, *arguments = argv
        self.child = pexpect.spawn(
            command,
            arguments,
            cwd=str(folder),
            env=env,
            dimensions=(rows, columns),
            encoding="utf-8",
            codec_errors="replace",
            timeout=WAIT_S,
        )
        self._screen.write_process_input = self.child.send  # answers questions for the cursor's place
        self.wait_for(ready)

    def resize(self, columns):
        self._screen.resize(columns=columns)
        self.child.setwinsize(self._screen.lines, columns)

    def send(self, text):
        self.child.send(text)

    def wait_for(self, text, times=1):
        """Read until `text` stands on the screen, so many times."""
        self.wait_until(lambda: self.text().count(text) >= times, f"{text!r} did not come")

    def wait_until(self, happened, otherwise):
        """Read until something is so."""
        end = time.monotonic() + WAIT_S
        while not happened():
            if time.monotonic() > end:
                raise AssertionError(f"{otherwise}:\n{self.text()}")
            self.read()

    def read(self):
        try:
            part = self.child.read_nonblocking(4096, timeout=0.2)
        except (pexpect.TIMEOUT, pexpect.EOF):
            time.sleep(0.02)
            return
        self.raw += part
        self._stream.feed(part)

    def text(self):
        return "\n".join(line.rstrip() for line in self._screen.display).strip()

    def shows_keys(self):
        """Whether the terminal shows what is typed, and reads it by lines."""
        flags = termios.tcgetattr(self.child.child_fd)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def leave(self):
        """Leave by Ctrl-D; returns the exit status."""
        self.send("\x04")
        self.wait_for("left")
        return self.exit_status()

    def exit_status(self):
        """Read to the end; the exit status."""
        self.raw += self.child.read()
        self.child.close()
        return self.child.exitstatus
