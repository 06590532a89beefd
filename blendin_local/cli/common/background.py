"""The terminal's background colour, as the terminal itself reports it.

Here: `terminal_background`, and what replies look like.
Not here: which theme follows from the colour (`views.theme`), keys in general (`cli.common.keyboard`).
Source: xterm's control sequences. OSC 11 asks for the background; terminals that do not know it stay silent.
DA1 asks what the terminal is: all answer it, and they answer in the order in which they were asked. So after
the reply to DA1 there is nothing to wait for, and nothing can arrive later, in the middle of a prompt.
"""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

try:
    import fcntl
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

Rgb = tuple[int, int, int]

QUESTIONS = b"\x1b]11;?\x1b\\" + b"\x1b[c"
COLOR_REPLY = re.compile(rb"\x1b\]11;([^\x07\x1b]*)(?:\x07|\x1b\\)")
LAST_REPLY = re.compile(rb"\x1b\[\?[0-9;]*c")
TIMEOUT_S = 1.0  # for slow links: a terminal answers within one round trip
SILENT_TERMS = frozenset({"", "dumb", "linux", "unknown"})  # the Linux console prints what it does not know


def terminal_background(
    keep: Callable[[bytes], object] | None = None, timeout_s: float = TIMEOUT_S
) -> Rgb | None:
    """Ask the terminal for its background colour.

    Ask only where the output has colours. Nothing is asked unless stdin and stdout are a terminal and this
    process is in its foreground.

    Args:
        keep: Gets the keys that were typed before the replies came. Without it the terminal is not asked if
            keys are waiting, and those typed meanwhile are put back, where the system allows it.
        timeout_s: Seconds to wait for a terminal that answers nothing at all.

    Returns:
        Red, green and blue from 0 to 255; None if the terminal does not say.
    """
    if not _can_ask():
        return None
    source = sys.stdin.fileno()
    with _unbuffered(source):
        if keep is None and _is_readable(source, 0):
            return None
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), QUESTIONS)
        received = _read_replies(source, timeout_s)
    if typed := without_replies(received):
        (keep or _put_back)(typed)
    found = COLOR_REPLY.search(received)
    return parse_color(found[1].decode("ascii", "replace")) if found else None


def without_replies(received: bytes) -> bytes:
    """The keys among what a terminal has sent."""
    return LAST_REPLY.sub(b"", COLOR_REPLY.sub(b"", received))


def parse_color(text: str) -> Rgb | None:
    """A colour as X11 writes it: `rgb:1e1e/2020/2424` with one to four hex digits each, or `#1e2024`."""
    digits = re.fullmatch(r"rgba?:([0-9a-f]{1,4})/([0-9a-f]{1,4})/([0-9a-f]{1,4})(?:/[0-9a-f]+)?", text, re.I)
    if digits:
        red, green, blue = (round(int(part, 16) * 255 / (16 ** len(part) - 1)) for part in digits.groups())
        return red, green, blue
    if re.fullmatch(r"#[0-9a-f]{6}", text, re.I):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    return None


def _can_ask() -> bool:
    """Whether there is a terminal that answers, and the answer comes to this process."""
    if termios is None or os.environ.get("TERM", "") in SILENT_TERMS:
        return False
    streams = (sys.stdin, sys.stdout)
    with suppress(OSError, ValueError):
        return all(stream is not None and stream.isatty() for stream in streams) and (
            os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        )
    return False


@contextmanager
def _unbuffered(source: int) -> Iterator[None]:
    """Within the block every byte can be read at once and is not shown; nothing that was typed is lost."""
    before = termios.tcgetattr(source)
    changed = [*before]
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    changed[6] = [*before[6]]
    changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
    termios.tcsetattr(source, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(source, termios.TCSANOW, before)


def _is_readable(source: int, timeout_s: float) -> bool:
    return bool(select.select([source], [], [], timeout_s)[0])


def _read_replies(source: int, timeout_s: float) -> bytes:
    """What comes until the last reply is there, or the time is over."""
    received, end = b"", monotonic() + timeout_s
    while not LAST_REPLY.search(received):
        left = end - monotonic()
        if left <= 0 or not _is_readable(source, left):
            break
        part = os.read(source, 1024)
        if not part:
            break
        received += part
    return received


def _put_back(typed: bytes) -> None:
    """Give keys back to the terminal; recent Linux refuses that, and then they are lost."""
    with suppress(OSError, AttributeError):
        for key in typed:
            fcntl.ioctl(sys.stdin.fileno(), termios.TIOCSTI, bytes([key]))
