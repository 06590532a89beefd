"""Ctrl-C, and for jobs SIGTERM and SIGHUP too, as a request to stop and keep what is finished.

Here: `stop_on_interrupt`, around each answer of `run` and `chat`, and around a whole job such as `batch`;
`ordinary_interrupts`, around what can simply be broken off; `exit_on_terminate`, around what must leave the
terminal as it was.
Not here: the code that polls the request (`should_stop`), Ctrl-C at the prompt (`cli.chat.reader`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether the user asked to stop.

    Attributes:
        number: The signal that was received first; 0 for none.
    """

    def __init__(self) -> None:
        self.number = 0

    @property
    def requested(self) -> bool:
        """Whether there was a signal."""
        return self.number != 0

    @property
    def exit_code(self) -> int:
        """The exit code of a program that a signal has ended."""
        return 128 + self.number

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; leave at once on the second."""
        if self.requested and number != signal.SIGINT:
            raise SystemExit(128 + number)
        if self.requested:
            signal.default_int_handler(number, frame)
        self.number = number


@contextmanager
def stop_on_interrupt(*, terminate: bool = False) -> Iterator[Interrupt]:
    """Within the block the first Ctrl-C only sets `requested`, the second raises KeyboardInterrupt.

    The handlers from before are put back afterwards. Outside the main thread, where no signal arrives,
    nothing is installed.

    Args:
        terminate: Whether to treat SIGTERM and SIGHUP in the same way, unless they are ignored (nohup).
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    more = _signals("SIGTERM", "SIGHUP") if terminate else []
    numbers = [signal.SIGINT, *(number for number in more if signal.getsignal(number) != signal.SIG_IGN)]
    before = [(number, signal.signal(number, interrupt.receive)) for number in numbers]
    try:
        yield interrupt
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def ordinary_interrupts() -> Iterator[None]:
    """Within the block Ctrl-C raises KeyboardInterrupt at once, and SIGTERM and SIGHUP end the program.

    For questions and downloads within `stop_on_interrupt`, which poll no request.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))]
    for number in _signals("SIGTERM", "SIGHUP"):
        if isinstance(getattr(signal.getsignal(number), "__self__", None), Interrupt):
            before.append((number, signal.signal(number, signal.SIG_DFL)))
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def exit_on_terminate() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP leave the program as an exception does, so that it can clean up.

    Handlers from before stay in force, and so does a signal that is ignored (nohup).
    """
    numbers = _signals("SIGTERM", "SIGHUP")
    numbers = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for number in numbers:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _signals(*names: str) -> list[signal.Signals]:
    """Those of the signals that this system has; Windows has no SIGHUP."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]
