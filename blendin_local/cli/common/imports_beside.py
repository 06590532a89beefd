"""Modules imported while something else is waited for.

Here: `ImportsBeside`.
llama.cpp holds no lock of Python's while it reads a model, so another thread can import meanwhile what is
needed afterwards.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread


class ImportsBeside:
    """Imports that a thread of their own makes.

    Args:
        modules: Their names, in order.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin, if there is anything to import; calling it again is harmless."""
        if self._modules and self._thread is None:
            self._thread = Thread(target=self._run, name="blendin-imports")
            self._thread.start()

    def _run(self) -> None:
        with suppress(Exception):  # whoever needs the module meets the error again
            for name in self._modules:
                importlib.import_module(name)
