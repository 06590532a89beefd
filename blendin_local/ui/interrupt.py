"""Ctrl-C during an answer: stop it and keep it.

Here: `stop_on_interrupt`.
Not here: what stops (the driver polls between steps, llama.cpp's abort callback within a long evaluation).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interrupt:
    """Whether the user wants to stop."""

    requested: bool = False


@contextmanager
def stop_on_interrupt() -> Iterator[Interrupt]:
    """Turn the first Ctrl-C into a request; a second one raises KeyboardInterrupt as usual."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)
