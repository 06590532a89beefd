"""The key-value header of a GGUF file, read by llama.cpp's own reader, without any weights.

Here: `GgufFile`, typed look-ups over the C functions `gguf_*` of libggml-base.
Not here: what the keys mean (`engine.header`).
Source: include/gguf.h of llama.cpp; asking for a value under the wrong type aborts the process, so every
look-up asks for the type first. The pure Python reader takes 20 s for a vocabulary of 262,144 tokens.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from blendin_local.engine.library import library
from blendin_local.errors import LoadError

Value = int | float | bool | str

# gguf.h, enum gguf_type: the type's number, the suffix of its getter, the C type
_SCALARS: dict[int, tuple[str, Any]] = {
    0: ("u8", ctypes.c_uint8),
    1: ("i8", ctypes.c_int8),
    2: ("u16", ctypes.c_uint16),
    3: ("i16", ctypes.c_int16),
    4: ("u32", ctypes.c_uint32),
    5: ("i32", ctypes.c_int32),
    6: ("f32", ctypes.c_float),
    7: ("bool", ctypes.c_bool),
    8: ("str", ctypes.c_char_p),
    10: ("u64", ctypes.c_uint64),
    11: ("i64", ctypes.c_int64),
    12: ("f64", ctypes.c_double),
}
_STRING = 8
_ARRAY = 9
_MOST_NUMBERS = 4096  # per-layer arrays are short; longer ones belong to the vocabulary
_DIMENSIONS = 4  # GGML_MAX_DIMS


class _InitParams(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


class _Functions:
    """The `gguf_*` functions with their own prototypes, so that the bindings' are left as they are."""

    def __init__(self, api: Any) -> None:
        self._library = api.llama_cpp._lib
        if not hasattr(self._library, "gguf_free"):  # Windows looks only into the library itself
            directory = Path(api.__file__).parent / "lib"
            self._library = api._ctypes_extensions.load_shared_library("ggml-base", directory)
        size, number, text = ctypes.c_size_t, ctypes.c_int64, ctypes.c_char_p
        pointer, plain = ctypes.c_void_p, ctypes.c_int
        self.open = self._bind("gguf_init_from_file", pointer, text, _InitParams)
        self.free = self._bind("gguf_free", None, pointer)
        self.find = self._bind("gguf_find_key", number, pointer, text)
        self.kind = self._bind("gguf_get_kv_type", plain, pointer, number)
        self.array_kind = self._bind("gguf_get_arr_type", plain, pointer, number)
        self.array_length = self._bind("gguf_get_arr_n", size, pointer, number)
        self.array_data = self._bind("gguf_get_arr_data", pointer, pointer, number)
        self.array_text = self._bind("gguf_get_arr_str", text, pointer, number, size)
        self.n_tensors = self._bind("gguf_get_n_tensors", number, pointer)
        self.shape = self._bind("gguf_get_tensor_ne", ctypes.POINTER(number), pointer, number)
        self.offset = self._bind("gguf_get_tensor_offset", size, pointer, number)
        self.size = self._bind("gguf_get_tensor_size", size, pointer, number)
        self.data_offset = self._bind("gguf_get_data_offset", size, pointer)
        self.scalar = {
            kind: self._bind(f"gguf_get_val_{suffix}", ctype, pointer, number)
            for kind, (suffix, ctype) in _SCALARS.items()
        }

    def _bind(self, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        prototype = ctypes.CFUNCTYPE(result, *arguments)
        return prototype((name, self._library))


@cache
def _functions() -> _Functions:
    return _Functions(library().api)


class GgufFile:
    """An open header; use it in a `with` block, after having seen that the file begins with `GGUF`."""

    def __init__(self, path: Path) -> None:
        self._c = _functions()
        self._handle = self._c.open(os.fsencode(path), _InitParams(no_alloc=True, ctx=None))
        if not self._handle:
            raise LoadError(
                f"{path} is damaged or cut short: its GGUF header cannot be read",
                "fetch the file again, or check that the copy was complete",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._c.free(self._handle)
        self._handle = None

    def value(self, key: str) -> Value | None:
        """The single value under `key`; None where the key is absent or holds an array."""
        index = self._c.find(self._handle, key.encode())
        if index < 0:
            return None
        getter = self._c.scalar.get(self._c.kind(self._handle, index))
        if getter is None:
            return None
        found = getter(self._handle, index)
        return found.decode("utf-8", "replace") if isinstance(found, bytes) else found

    def numbers(self, key: str) -> tuple[int, ...] | None:
        """The whole numbers under `key`, be it one or a short array; None where there are none."""
        index = self._c.find(self._handle, key.encode())
        if index < 0:
            return None
        if self._c.kind(self._handle, index) != _ARRAY:
            single = self.value(key)
            return (int(single),) if isinstance(single, (int, float)) else None
        return self._array(index)

    def _array(self, index: int) -> tuple[int, ...] | None:
        kind = self._c.array_kind(self._handle, index)
        length = self._c.array_length(self._handle, index)
        if kind not in _SCALARS or kind == _STRING or length > _MOST_NUMBERS:
            return None
        values = (_SCALARS[kind][1] * length).from_address(self._c.array_data(self._handle, index) or 0)
        return tuple(int(value) for value in values) if length else ()

    def length(self, key: str) -> int:
        """How many entries the array under `key` has; 0 where there is none."""
        index = self._c.find(self._handle, key.encode())
        if index < 0 or self._c.kind(self._handle, index) != _ARRAY:
            return 0
        return int(self._c.array_length(self._handle, index))

    def texts(self, key: str, places: Sequence[int]) -> tuple[str, ...]:
        """The strings at `places` of the array under `key`; places outside it are left out."""
        index = self._c.find(self._handle, key.encode())
        if index < 0 or self._c.kind(self._handle, index) != _ARRAY:
            return ()
        if self._c.array_kind(self._handle, index) != _STRING:
            return ()
        length = self._c.array_length(self._handle, index)
        found = (self._c.array_text(self._handle, index, place) for place in places if 0 <= place < length)
        return tuple(text.decode("utf-8", "replace") for text in found)

    def tensors(self) -> tuple[int, int, int]:
        """Parameters, bytes of weights, and the size a whole file has at least."""
        parameters = weight_bytes = 0
        end = start = self._c.data_offset(self._handle)
        for index in range(self._c.n_tensors(self._handle)):
            shape = self._c.shape(self._handle, index)[:_DIMENSIONS]
            size = self._c.size(self._handle, index)
            parameters += shape[0] * shape[1] * shape[2] * shape[3]
            weight_bytes += size
            end = max(end, start + self._c.offset(self._handle, index) + size)
        return parameters, weight_bytes, end
