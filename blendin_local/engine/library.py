"""The door to llama.cpp: one place where it is imported, silenced and asked why something failed.

Here: `library()`, `Llama` (the bindings and their log) and the setting of C structs.
Not here: models and contexts (`engine.model`, `engine.context`).
Source: llama-cpp-python 0.3.36; its own log handler prints warnings as output and hides errors.
"""

from __future__ import annotations

import ctypes
import importlib
import os
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any

from blendin_local.errors import LoadError

VERSION = "0.3.36"
INSTALL = f"install it with: pip install llama-cpp-python=={VERSION} (it compiles; gcc and cmake are needed)"
DEBUG_LEVEL, ERROR_LEVEL = 1, 4  # ggml.h: 1 debug, 2 info, 3 warn, 4 error, 5 continuation


class Llama:
    """The low-level bindings, with llama.cpp's log kept off the terminal.

    Attributes:
        api: The module `llama_cpp`.
    """

    def __init__(self, api: Any) -> None:
        self.api = api
        self._errors: deque[str] = deque(maxlen=8)
        self._listener: Callable[[str], None] | None = None
        self._callback = api.llama_log_callback(self._log)  # C keeps the pointer: it must stay referenced
        api.llama_log_set(self._callback, None)
        api.llama_backend_init()

    def _log(self, level: int, text: bytes, _: Any) -> None:
        line = text.decode("utf-8", "replace")
        if level == ERROR_LEVEL and line.strip():
            self._errors.append(line.strip())
        if self._listener is not None and level != DEBUG_LEVEL:
            self._listener(line)

    def listen(self, listener: Callable[[str], None] | None) -> None:
        """Send every log line to `listener` (for `-v`); None stops that."""
        self._listener = listener

    def forget_errors(self) -> None:
        """Start a new account of errors before a call that may fail."""
        self._errors.clear()

    def reason(self, otherwise: str) -> str:
        """Why the last call failed, in llama.cpp's own words.

        The first line names the cause; what follows it says only who gave up because of it.
        """
        return _plain(self._errors[0]) if self._errors else otherwise


def _plain(line: str) -> str:
    """A log line without the name of the C function that wrote it."""
    head, colon, rest = line.partition(": ")
    return rest if colon and " " not in head and rest else line


@cache
def library() -> Llama:
    """Import llama_cpp once.

    Raises:
        LoadError: It is not installed, cannot be loaded, or is another version than this program was
            written for: its structs are passed by value, so a different layout would corrupt memory.
    """
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # an abort would start a debugger to print a trace
    try:
        api = importlib.import_module("llama_cpp")
    except (ImportError, OSError, RuntimeError) as error:
        raise LoadError(f"llama-cpp-python cannot be imported: {error}", INSTALL) from error
    found = getattr(api, "__version__", "unknown")
    if found != VERSION:
        raise LoadError(f"llama-cpp-python is {found}, but {VERSION} is needed", INSTALL)
    return Llama(api)


def set_fields(struct: ctypes.Structure, **values: Any) -> None:
    """Set fields of a C struct; ctypes itself takes a misspelt name without a word."""
    names = {field[0] for field in struct._fields_}
    unknown = values.keys() - names
    if unknown:
        raise AttributeError(f"{type(struct).__name__} has no field {', '.join(sorted(unknown))}")
    for name, value in values.items():
        setattr(struct, name, value)
