"""What the installed llama.cpp was built for: processor features and devices.

Here: `describe_build` and what it finds out.
Not here: what follows from it for the user (`jobs.doctor`), the version check (`engine.library`).
Source: `llama_print_system_info` and the functions `ggml_backend_dev_*` of ggml-backend.h.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blendin_local.engine.library import VERSION, library

GPU_DEVICES = frozenset({1, 2})  # enum ggml_backend_dev_type: 0 CPU, 1 GPU, 2 integrated GPU, 3 accelerator


@dataclass(frozen=True, slots=True)
class Device:
    """A processor that llama.cpp can compute on.

    Attributes:
        name: Its short name, such as `CUDA0`.
        description: Its maker's name for it.
        gpu: Whether layers can be offloaded to it.
        memory_free: Bytes free on it.
        memory_total: Bytes it has.
    """

    name: str
    description: str
    gpu: bool
    memory_free: int
    memory_total: int


@dataclass(frozen=True, slots=True)
class Build:
    """The installed llama.cpp.

    Attributes:
        version: Version of llama-cpp-python.
        library: Where the compiled library lies.
        features: Per back-end the features it was compiled with, such as `{"CPU": {"AVX2": "1"}}`.
        gpu_offload: Whether any GPU back-end was compiled in.
        devices: What it found on this machine.
    """

    version: str
    library: Path
    features: Mapping[str, Mapping[str, str]]
    gpu_offload: bool
    devices: tuple[Device, ...]

    def has(self, feature: str) -> bool:
        """Whether any back-end has a feature switched on."""
        return any(found.get(feature, "0") not in {"0", ""} for found in self.features.values())


def describe_build() -> Build:
    """Ask the installed llama.cpp what it is.

    Raises:
        LoadError: llama-cpp-python is missing, broken or another version.
    """
    api = library().api
    return Build(
        version=VERSION,
        library=Path(os.environ.get("LLAMA_CPP_LIB_PATH") or Path(api.__file__).parent / "lib"),
        features=parse_features(api.llama_print_system_info().decode("utf-8", "replace")),
        gpu_offload=can_offload(),
        devices=_devices(api),
    )


def can_offload() -> bool:
    """Whether layers of a model can be computed on a GPU: whether any GPU back-end was compiled in."""
    return bool(library().api.llama_supports_gpu_offload())


def ignored_layers(n_gpu_layers: int | None) -> str:
    """A sentence for a user who asked for layers on a GPU that this build cannot use; else empty."""
    if not n_gpu_layers or can_offload():
        return ""
    asked = "1 layer" if n_gpu_layers == 1 else f"{n_gpu_layers} layers"
    return f"llama.cpp was built for the CPU only, so {asked} on the GPU cannot be had (see blendin doctor)"


def parse_features(line: str) -> dict[str, dict[str, str]]:
    """The features in llama.cpp's own line, such as `CPU : SSE3 = 1 | AVX2 = 1 | CUDA : ARCHS = 890 |`."""
    found: dict[str, dict[str, str]] = {}
    current = "CPU"
    for item in line.split("|"):
        head, colon, rest = item.rpartition(" : ")
        if colon:
            current = head.strip()
        name, equals, value = (rest if colon else item).partition("=")
        if equals:
            found.setdefault(current, {})[name.strip()] = value.strip()
    return found


def _devices(api: Any) -> tuple[Device, ...]:
    function = _finder(api)
    count = function("ggml_backend_dev_count", ctypes.c_size_t)()
    get = function("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    name = function("ggml_backend_dev_name", ctypes.c_char_p, ctypes.c_void_p)
    description = function("ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)
    kind = function("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    pointer = ctypes.POINTER(ctypes.c_size_t)
    memory = function("ggml_backend_dev_memory", None, ctypes.c_void_p, pointer, pointer)
    found = []
    for index in range(count):
        device = get(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        memory(device, ctypes.byref(free), ctypes.byref(total))
        texts = [(text(device) or b"").decode("utf-8", "replace") for text in (name, description)]
        found.append(Device(texts[0], texts[1], kind(device) in GPU_DEVICES, free.value, total.value))
    return tuple(found)


def _finder(api: Any) -> Callable[..., Callable[..., Any]]:
    """Looks a C function up in llama.cpp's libraries; Windows does not look into those they depend on."""

    def function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        prototype = ctypes.CFUNCTYPE(result, *arguments)
        try:
            return prototype((name, api._lib))
        except AttributeError:
            directory = Path(api.__file__).parent / "lib"
            for part in ("ggml", "ggml-base"):
                loaded = api.load_shared_library(part, directory)
                if hasattr(loaded, name):
                    return prototype((name, loaded))
            raise

    return function
