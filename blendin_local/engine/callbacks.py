"""Callbacks from llama.cpp into Python that may stop a C call.

Here: `StopCallback`, a boolean function that C calls at any time during a call, and the exceptions raised
in it.
Not here: what is asked (`engine.context`, `engine.model`), llama.cpp's log (`engine.library`).
Source: ctypes drops exceptions raised in a callback. Python runs signal handlers between two bytecodes;
after a signal during C code the next bytecode is the first of the callback, which no `try` inside a
function encloses. A generator suspended inside a `try` is resumed inside it, and its `__next__` is no
Python function: nothing is lost.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

_NO_ARGUMENTS = ctypes.CFUNCTYPE(ctypes.c_bool)  # C's callers clear up: a callee may leave arguments unread


class StopCallback:
    """A C function without arguments that returns a bool and stores exceptions raised by `answer`.

    Args:
        kind: The ctypes type that llama.cpp expects.
        answer: The attribute's first value.
        stop_value: The value that makes llama.cpp stop; returned after the first exception.

    Attributes:
        answer: Computes the returned value; it may be replaced between calls.
        function: The function for llama.cpp; keep a reference to it while llama.cpp may call it.
    """

    def __init__(self, kind: Any, answer: Callable[[], bool], *, stop_value: bool) -> None:
        self.answer = answer
        self._stop_value = stop_value
        self._raised: BaseException | None = None
        self._answers_iter = self._answers()
        next(self._answers_iter)
        self._function = _NO_ARGUMENTS(self._answers_iter.__next__)
        self.function = ctypes.cast(self._function, kind)

    def _answers(self) -> Iterator[bool]:
        value = False
        while True:
            try:
                while True:
                    yield value
                    value = self._stop_value if self._raised else self.answer()
            except GeneratorExit:
                return
            except BaseException as error:  # noqa: BLE001 - it is raised again, after the call
                self._raised, value = self._raised or error, self._stop_value

    def raise_again(self) -> None:
        """Raise what was raised since the last time."""
        error, self._raised = self._raised, None
        if error is not None:
            raise error
