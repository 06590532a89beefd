"""What happens to keys that are typed while nobody reads them.

Here: `quiet_keyboard`, around a whole command: such keys are not shown, and wait for the next prompt;
`ordinary_keyboard`, around a question or another program within it.
Not here: the prompt (`cli.chat.reader`), Ctrl-C as a request (`cli.common.interrupt`).

Settings are changed without a flush, which would drop what has been typed. They are put back whatever ends
the block, while the program is suspended by Ctrl-Z, and at SIGTERM and SIGHUP. A process in the background
must not change them, and has no keys to hide. After SIGKILL the shell puts its own settings back.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from blendin_local.cli.common.interrupt import exit_on_terminate

try:
    import termios
except ImportError:  # Windows, where a key is shown only when it is read
    termios = None  # type: ignore[assignment]

INPUT_FLAGS, LOCAL_FLAGS, CONTROL_KEYS = 0, 3, 6  # places in what `tcgetattr` returns


class QuietKeyboard:
    """Settings of a terminal under which keys are not shown.

    Args:
        terminal: Its file descriptor.
        lines: Whether the next program reads whole lines, as a shell may. Else it reads key by key
            (prompt_toolkit) and edits them itself: Enter, Tab and Ctrl-D then wait in the queue like others.
    """

    def __init__(self, terminal: int, *, lines: bool) -> None:
        self._terminal = terminal
        self._lines = lines
        self._before: list[Any] | None = None
        self.paused = False

    def start(self) -> None:
        """Hide keys, unless that is so or this process is not in the foreground."""
        if self.paused or not _in_foreground(self._terminal):
            return
        with suppress(termios.error):
            found = termios.tcgetattr(self._terminal)
            if self._before is None or found[LOCAL_FLAGS] & termios.ECHO:  # the shell sets it during a stop
                termios.tcsetattr(self._terminal, termios.TCSANOW, quiet_settings(found, lines=self._lines))
                self._before = found

    def stop(self) -> None:
        """Put the settings back; in the background they are the shell's."""
        before, self._before = self._before, None
        if before is not None and _in_foreground(self._terminal):
            with suppress(termios.error):
                termios.tcsetattr(self._terminal, termios.TCSANOW, before)

    def suspend(self, number: int, frame: FrameType | None) -> None:
        """Handle Ctrl-Z: put the settings back, stop here, and hide keys again when the process goes on."""
        del frame
        self.stop()
        ours = signal.signal(number, signal.SIG_DFL)
        signal.pthread_kill(threading.get_ident(), number)  # of this thread: it has taken effect on return
        signal.signal(number, ours)
        self.start()

    def resume(self, number: int, frame: FrameType | None) -> None:
        """Handle `fg`, also after `bg` or a stop that could not be handled: hide keys again."""
        del number, frame
        self.start()


def quiet_settings(before: list[Any], *, lines: bool) -> list[Any]:
    """The settings under which keys are not shown; Ctrl-C, Ctrl-Z and Ctrl-S work, and drop no keys."""
    changed = [*before]
    changed[LOCAL_FLAGS] = before[LOCAL_FLAGS] & ~termios.ECHO | termios.NOFLSH
    if not lines:
        changed[LOCAL_FLAGS] &= ~(termios.ICANON | termios.IEXTEN)
        changed[INPUT_FLAGS] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
        changed[CONTROL_KEYS] = [*before[CONTROL_KEYS]]
        changed[CONTROL_KEYS][termios.VMIN], changed[CONTROL_KEYS][termios.VTIME] = 1, 0
    return changed


@contextmanager
def quiet_keyboard(*, lines: bool = True) -> Iterator[None]:
    """Within the block keys are not shown, and wait for whoever reads next.

    Nothing changes without a terminal, and where stdout is a pipe: its reader may be a pager, which has
    settings of its own.

    Args:
        lines: As for `QuietKeyboard`.
    """
    terminal = _terminal()
    with exit_on_terminate():
        if terminal is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        keyboard = QuietKeyboard(terminal, lines=lines)
        handlers = {signal.SIGTSTP: keyboard.suspend, signal.SIGCONT: keyboard.resume}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            keyboard.start()
            yield
        finally:
            keyboard.stop()
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def ordinary_keyboard() -> Iterator[None]:
    """Within the block keys are shown and lines edited as before `quiet_keyboard`, if that is in force."""
    owner = getattr(signal.getsignal(signal.SIGCONT), "__self__", None) if termios else None
    if not isinstance(owner, QuietKeyboard):
        yield
        return
    owner.stop()
    owner.paused = True
    try:
        yield
    finally:
        owner.paused = False
        owner.start()


def _terminal() -> int | None:
    """The terminal that keys come from, None without one."""
    if termios is None:
        return None
    with suppress(OSError, ValueError):
        if stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
            return None
        streams = (sys.stdin, sys.stdout, sys.stderr)
        return next((each.fileno() for each in streams if each is not None and each.isatty()), None)
    return None


def _in_foreground(terminal: int) -> bool:
    with suppress(OSError):
        return os.tcgetpgrp(terminal) == os.getpgrp()
    return False
