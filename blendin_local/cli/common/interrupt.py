"""Ctrl-C, and for a batch SIGTERM and SIGHUP too, as a request to stop and keep what there is.

Here: `stop_on_interrupt`, around each answer of `run` and `chat`, and around a whole `batch`.
Not here: who polls the request (`Pair.stream(should_stop=...)`), Ctrl-C at the prompt (`cli.chat.reader`).
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
        number: The signal that asked, 0 for none.
    """

    def __init__(self) -> None:
        self.number = 0

    @property
    def requested(self) -> bool:
        """Whether there was a signal."""
        return self.number != 0

    @property
    def exit_code(self) -> int:
        """What a shell expects of a program that a signal has ended."""
        return 128 + self.number

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; leave at once at the second."""
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
        terminate: Whether SIGTERM and SIGHUP are taken in the same way, unless they are ignored (nohup).
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    names = ("SIGTERM", "SIGHUP") if terminate else ()
    more = [getattr(signal, name) for name in names if hasattr(signal, name)]  # Windows has no SIGHUP
    numbers = [signal.SIGINT, *(number for number in more if signal.getsignal(number) != signal.SIG_IGN)]
    before = [(number, signal.signal(number, interrupt.receive)) for number in numbers]
    try:
        yield interrupt
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def ordinary_interrupts() -> Iterator[None]:
    """Within the block Ctrl-C raises KeyboardInterrupt at once: for waiting that can simply be broken off."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
