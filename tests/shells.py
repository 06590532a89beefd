"""Real shells in a pseudo-terminal, with `blendin` on their path and its completion installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pexpect
import pyte
import pytest

from tests.cli_runner import environment
from tests.paths import ROOT

WAIT_S = 20
TABS = 3  # the first may meet a shell that is not ready yet
PROMPT = "ready> "
SHELLS = {
    "bash": (["--noprofile", "-i"], f"PS1='{PROMPT}'\nbind 'set bell-style none'\n"),
    "zsh": (["-d", "-i"], f"PS1='{PROMPT}'\nunsetopt beep\nzmodload zsh/zle\n"),
    "fish": (["-i"], f"function fish_prompt; echo -n '{PROMPT}'; end\nset fish_greeting\n"),
}
CONFIGURATION = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}


def asked(*words, cwd, shell="bash", **env):
    """The answer to a shell whose cursor is at the end of the last word: exit code, words, stderr."""
    typed = ["blendin", *words]
    line = {"COMP_WORDS": "\n".join(typed), "COMP_CWORD": str(len(typed) - 1)}
    line |= {"_TYPER_COMPLETE_ARGS": " ".join(typed), "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-m", "blendin_local"],
        env=environment(_BLENDIN_COMPLETE=f"complete_{shell}", HOME=str(cwd), **line, **env),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.split("\n")[:-1], done.stderr


class Shell:
    """A shell whose home is an empty folder.

    Args:
        name: `bash`, `zsh` or `fish`; the test is skipped where it is not installed.
        home: The folder, which is the working directory too.
    """

    def __init__(self, name, home):
        program = shutil.which(name)
        if program is None:
            pytest.skip(f"{name} is not installed")
        arguments, configuration = SHELLS[name]
        self.environment = _environment(home)
        _write_program(home)
        path = home / CONFIGURATION[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(configuration)
        installed = subprocess.run(
            [program, "-c", "blendin --install-completion; true"],
            env=self.environment,
            cwd=home,
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"{name} completion installed" in installed.stdout, installed
        self._screen = pyte.Screen(100, 40)
        self._stream = pyte.Stream(self._screen)
        self._child = pexpect.spawn(
            program,
            arguments,
            env=self.environment,
            cwd=str(home),
            dimensions=(40, 100),
            encoding="utf-8",
            codec_errors="replace",
        )
        self._screen.write_process_input = self._child.send
        self.wait_for(PROMPT.strip(), WAIT_S)

    def tab(self, line, shown):
        """Type a line and press Tab until `shown` stands on the screen."""
        self._child.send(line)
        self.wait_for(line, WAIT_S)
        for _ in range(TABS):
            self._child.send("\t")
            if shown in self.wait_for(shown, WAIT_S / TABS, must=False):
                return
        raise AssertionError(f"{shown!r} did not come:\n{self.text()}")

    def wait_for(self, text, seconds, *, must=True):
        """Read until `text` stands on the screen; returns the screen."""
        end = time.monotonic() + seconds
        while text not in self.text() and time.monotonic() < end:
            self._read()
        assert not must or text in self.text(), f"{text!r} did not come:\n{self.text()}"
        return self.text()

    def text(self):
        return "\n".join(line.rstrip() for line in self._screen.display).strip()

    def close(self):
        self._child.close(force=True)

    def _read(self):
        try:
            part = self._child.read_nonblocking(4096, timeout=0.2)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self._stream.feed(part)


def _environment(home):
    kept = {name: os.environ[name] for name in ("LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local"),
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "TERM": "xterm-256color",
        "PYTHONUTF8": "1",
    }


def _write_program(home):
    """`blendin` as an installation has it, in `bin` of the home."""
    program = home / "bin" / "blendin"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m blendin_local "$@"\n')
    program.chmod(0o755)
