"""The processors that llama.cpp can compute on, and those that it gives layers of a model to.

Here: `Device`; `devices`, all that llama.cpp found; `offload_devices`, those that hold layers; `backends`,
what it was built for.
Not here: processor features (`engine.build`), which layers lie on which device (`engine.placement`).
Source: `ggml_backend_dev_*` of ggml-backend.h, and `llama_prepare_model_devices` in `src/llama.cpp` for the
devices that are used.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blendin_local.engine.library import library

GPU, INTEGRATED_GPU = 1, 2  # enum ggml_backend_dev_type; 0 is the CPU, 3 an accelerator used with the CPU
METAL = "MTL"  # its devices are of type GPU, but compute in the machine's memory


class _Properties(ctypes.Structure):
    """`struct ggml_backend_dev_props`, with room for fields that a newer library adds."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("extra", ctypes.c_ubyte * 256),
    ]


@dataclass(frozen=True, slots=True)
class Device:
    """A processor that llama.cpp can compute on.

    Attributes:
        name: Its short name, such as `CUDA0`.
        description: Its maker's name for it.
        gpu: Whether layers can be offloaded to it.
        memory_free: Bytes free on it.
        memory_total: Bytes it has; 0 if it does not say.
        integrated: Whether it is part of the processor; llama.cpp uses it only where there is no other GPU.
        shares_ram: Whether its memory is the machine's.
        id: Its address on the bus, by which two back-ends name the same device; may be empty.
    """

    name: str
    description: str
    gpu: bool
    memory_free: int
    memory_total: int
    integrated: bool = False
    shares_ram: bool = False
    id: str = ""


def devices() -> tuple[Device, ...]:
    """What llama.cpp found on this machine, with the memory that is free now."""
    find = c_functions(library().api)
    count = find("ggml_backend_dev_count", ctypes.c_size_t)()
    get = find("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    properties = find("ggml_backend_dev_get_props", None, ctypes.c_void_p, ctypes.POINTER(_Properties))
    registry = find("ggml_backend_dev_backend_reg", ctypes.c_void_p, ctypes.c_void_p)
    registry_name = find("ggml_backend_reg_name", ctypes.c_char_p, ctypes.c_void_p)
    found = []
    for index in range(count):
        device, about = get(index), _Properties()
        properties(device, ctypes.byref(about))
        found.append(_device(about, _text(registry_name(registry(device)))))
    return tuple(found)


def _device(about: _Properties, backend: str) -> Device:
    integrated = about.type == INTEGRATED_GPU
    return Device(
        name=_text(about.name),
        description=_text(about.description),
        gpu=about.type in {GPU, INTEGRATED_GPU},
        memory_free=about.memory_free,
        memory_total=about.memory_total,
        integrated=integrated,
        shares_ram=integrated or backend == METAL or (about.type == GPU and not about.memory_total),
        id=_text(about.device_id),
    )


def offload_devices(found: Iterable[Device]) -> tuple[Device, ...]:
    """The devices that llama.cpp gives layers to: each GPU once, and integrated ones if there is no other."""
    gpus = [device for device in found if device.gpu]
    chosen: list[Device] = []
    for device in gpus:
        if not device.integrated and (not device.id or device.id not in {other.id for other in chosen}):
            chosen.append(device)
    return tuple(chosen or gpus)


def backends() -> tuple[str, ...]:
    """What llama.cpp was built for, such as `CPU` and `Vulkan`, whether or not there is such a device."""
    find = c_functions(library().api)
    count = find("ggml_backend_reg_count", ctypes.c_size_t)()
    get = find("ggml_backend_reg_get", ctypes.c_void_p, ctypes.c_size_t)
    name = find("ggml_backend_reg_name", ctypes.c_char_p, ctypes.c_void_p)
    return tuple(_text(name(get(index))) for index in range(count))


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def c_functions(api: Any) -> Callable[..., Callable[..., Any]]:
    """Finds C functions in llama.cpp's libraries; Windows does not look into those they depend on."""

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
