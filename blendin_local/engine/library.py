"""Access to llama.cpp: its Python bindings, imported in one place, with their log captured.

Here: `library()`, `Llama` (bindings and log), the check that library and bindings fit, and `set_fields`.
Not here: models and contexts (`engine.model`, `engine.context`).
Source: llama-cpp-python 0.3.36. Its own log handler prints warnings to stdout and hides errors. Parameter
structs are passed by value: a library with one field more or less reads every later field at the wrong
offset. The defaults are then at wrong offsets too, so comparing them detects it.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from blendin_local.errors import LoadError

PACKAGE = "llama_cpp"
VERSION = "0.3.36"
INSTALL = f"install it with: pip install llama-cpp-python=={VERSION} (it compiles; gcc and cmake are needed)"
LIBRARY = (
    "LLAMA_CPP_LIB_PATH"  # a folder with libraries that llama-cpp-python loads instead of those it ships
)
_LEVEL_AND_TEXT = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p)  # a third argument is left unread
DEBUG_LEVEL, ERROR_LEVEL = 1, 4  # ggml.h: 1 debug, 2 info, 3 warn, 4 error, 5 continuation
STRUCT_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "model": {
        "n_gpu_layers": -1,
        "split_mode": 1,
        "load_mode": -1,
        "main_gpu": 0,
        "vocab_only": False,
        "check_tensors": False,
        "use_extra_bufts": True,
        "no_host": False,
        "no_alloc": False,
        "load_mtp": False,
    },
    "context": {
        "n_ctx": 512,
        "n_batch": 2048,
        "n_ubatch": 512,
        "n_seq_max": 1,
        "n_rs_seq": 0,
        "n_outputs_max": 0,
        "n_threads": 4,
        "n_threads_batch": 4,
        "rope_scaling_type": -1,
        "pooling_type": -1,
        "attention_type": -1,
        "flash_attn_type": -1,
        "yarn_ext_factor": -1.0,
        "type_k": 1,
        "type_v": 1,
        "embeddings": False,
        "offload_kqv": True,
        "no_perf": True,
        "op_offload": True,
        "swa_full": True,
        "kv_unified": False,
    },
}
EXTRA_BYTES = 4096  # for fields that a newer library may have added


class Llama:
    """The low-level bindings, with llama.cpp's log kept off the terminal.

    No Python code runs when a line is logged, unless a listener is set: an exception raised there by a signal
    handler would be lost (`engine.callbacks`). A dict keeps the first line of each level.

    Attributes:
        api: The bindings, function by function: the module `llama_cpp.llama_cpp`.
        notice: A sentence about the library that the user should know; mostly empty.
    """

    def __init__(self, api: Any, notice: str = "") -> None:
        self.api = api
        self.notice = notice
        self._first: dict[int, bytes] = {}
        self._listener: Callable[[str], None] | None = None
        self._raised: BaseException | None = None
        keep = _LEVEL_AND_TEXT(self._first.setdefault)  # C keeps the pointers: they must stay referenced
        self._callbacks = keep, api.llama_log_callback(self._log)
        self._quiet = ctypes.cast(keep, api.llama_log_callback)
        self._set_log()
        atexit.register(self._detach)
        api.llama_backend_init()

    def _detach(self) -> None:
        """Discard llama.cpp's log: a line logged after Python has ended must not call Python.

        Without a callback llama.cpp writes to stderr, so one of its functions that only returns true is set.
        """
        self.api.llama_log_set(ctypes.cast(self.api.llama_supports_mmap, self.api.llama_log_callback), None)

    def _log(self, level: int, text: bytes, _: Any) -> None:
        try:
            self._first.setdefault(level, text)
            if self._listener is not None and level != DEBUG_LEVEL:
                self._listener(text.decode("utf-8", "replace"))
        except BaseException as error:  # noqa: BLE001 - it is raised again, at the next call
            self._raised, self._listener = self._raised or error, None

    def listen(self, listener: Callable[[str], None] | None) -> None:
        """Send every log line to `listener` (for `-v`); None stops that.

        What it raises ends the listening, and is raised by the next `clear_errors`.
        """
        self._listener = listener
        self._set_log()

    def _set_log(self) -> None:
        self.api.llama_log_set(self._quiet if self._listener is None else self._callbacks[1], None)

    @property
    def has_listener(self) -> bool:
        """Whether somebody reads the log."""
        return self._listener is not None

    def clear_errors(self) -> None:
        """Start a new account of errors before a call that may fail.

        The log is set again: llama-cpp-python takes it when somebody imports all of it.
        """
        self._set_log()
        self._first.clear()
        error, self._raised = self._raised, None
        if error is not None:
            raise error

    def reason(self, otherwise: str) -> str:
        """Why the last call failed, from llama.cpp's log.

        The first line names the cause; later lines only report that the callers failed too.
        """
        line = self._first.get(ERROR_LEVEL, b"").decode("utf-8", "replace").strip()
        return _plain(line) if line else otherwise


def _plain(line: str) -> str:
    """A log line without the name of the C function that wrote it."""
    head, colon, rest = line.partition(": ")
    return rest if colon and " " not in head and rest else line


@cache
def library() -> Llama:
    """Import the bindings once.

    Raises:
        LoadError: It is not installed, cannot be loaded, or is another version than this program was
            written for: its structs are passed by value, so a different layout would corrupt memory. The
            same holds for a library that replaces the package's.
    """
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # an abort would start a debugger to print a trace
    folder = os.environ.get(LIBRARY)
    hint = f"unset {LIBRARY}, which is {folder!r}" if folder else INSTALL
    try:
        api, found = _bindings()
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise LoadError(f"llama-cpp-python cannot be imported: {error}", hint) from error
    if found != VERSION:
        raise LoadError(f"llama-cpp-python is {found}, but {VERSION} is needed", INSTALL)
    require_layout(api, hint)
    return Llama(
        api, f"llama.cpp was taken from {folder} ({LIBRARY}), not from its package" if folder else ""
    )


def _bindings() -> tuple[ModuleType, str]:
    """The module `llama_cpp.llama_cpp`, and the version of its package.

    The rest of the package, with a template engine and chat formats that are not used here, costs a start
    60 ms. Where the package's metadata say that it is `VERSION`, an empty package stands in for it while the
    module is imported. Nothing of that stays in `sys.modules`: a later `import llama_cpp` gets all of it.
    """
    places = _places()
    metadata = f"llama_cpp_python-{VERSION}.dist-info"
    if not any(Path(place).with_name(metadata).is_dir() for place in places):
        package = importlib.import_module(PACKAGE)
        return package.llama_cpp, getattr(package, "__version__", "unknown")
    stand_in = ModuleType(PACKAGE)
    stand_in.__path__ = places
    sys.modules[PACKAGE] = stand_in
    try:
        return importlib.import_module(f"{PACKAGE}.llama_cpp"), VERSION
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


def _places() -> list[str]:
    """Where the package's modules are; nowhere if it is imported already, or not installed."""
    if PACKAGE in sys.modules:
        return []
    spec = importlib.util.find_spec(PACKAGE)
    return list((spec and spec.submodule_search_locations) or ())


def require_layout(api: Any, hint: str) -> None:
    """Raise `LoadError` unless the structs' defaults are those of `VERSION`.

    Args:
        api: The bindings.
        hint: The next step named in the error.
    """
    for name, defaults in STRUCT_DEFAULTS.items():
        function = getattr(api, f"llama_{name}_default_params")
        wrong = differences(_call_padded(function), defaults)
        if wrong:
            raise LoadError(
                f"llama.cpp is another version than its Python bindings: the {name} parameters begin with "
                f"{', '.join(wrong[:3])}",
                hint,
            )


def differences(struct: ctypes.Structure, defaults: Mapping[str, Any]) -> list[str]:
    """Describe each field that does not have its default value."""
    found = ((name, getattr(struct, name, None), value) for name, value in defaults.items())
    return [f"{name} {is_now} instead of {value}" for name, is_now, value in found if is_now != value]


def _call_padded(function: Any) -> ctypes.Structure:
    """Call a function that returns a struct by value, allowing for a larger struct than expected."""
    fields = [("struct", function.restype), ("extra", ctypes.c_ubyte * EXTRA_BYTES)]
    padded = type("Padded", (ctypes.Structure,), {"_fields_": fields})
    address = ctypes.cast(function, ctypes.c_void_p).value
    struct: ctypes.Structure = ctypes.CFUNCTYPE(padded)(address or 0)().struct
    return struct


def as_address(function: Any, *arguments: Any) -> Any:
    """A function that returns a pointer, as one that returns the address alone, which is cheaper to use."""
    address = ctypes.cast(function, ctypes.c_void_p).value
    return ctypes.CFUNCTYPE(ctypes.c_void_p, *arguments)(address or 0)


def set_fields(struct: ctypes.Structure, **values: Any) -> None:
    """Set fields of a C struct; ctypes itself takes a misspelt name without a word."""
    names = {field[0] for field in struct._fields_}
    unknown = values.keys() - names
    if unknown:
        raise AttributeError(f"{type(struct).__name__} has no field {', '.join(sorted(unknown))}")
    for name, value in values.items():
        setattr(struct, name, value)
