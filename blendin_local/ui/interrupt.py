"""Ctrl-C as a request to stop an answer and keep it.

Here: `stop_on_interrupt`, around each answer of `run` and `chat`.
Not here: who polls the request (`Pair.stream(should_stop=...)`), Ctrl-C at the prompt (`ui.chat_input`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether the user asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Note the first Ctrl-C; raise KeyboardInterrupt at the second."""
        if self.requested:
            signal.default_int_handler(number, frame)
        self.requested = True


@contextmanager
def stop_on_interrupt() -> Iterator[Interrupt]:
    """Within the block the first Ctrl-C only sets `requested`, the second raises KeyboardInterrupt.

    The handler from before is put back afterwards. Outside the main thread, where no signal arrives, nothing
    is installed.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt.receive)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


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
