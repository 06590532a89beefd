"""What the installed llama.cpp was built for: processor features and back-ends.

Here: `describe_build` and what it finds out.
Not here: the devices it found (`engine.devices`), what follows from it for the user (`jobs.doctor`), the
version check (`engine.library`).
Source: `llama_print_system_info`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from blendin_local.engine.devices import Device, backends, devices
from blendin_local.engine.library import VERSION, library

CPU_BACKENDS = frozenset({"CPU", "BLAS"})


@dataclass(frozen=True, slots=True)
class Build:
    """The installed llama.cpp.

    Attributes:
        version: Version of llama-cpp-python.
        library: Where the compiled library lies.
        features: Per back-end the features it was compiled with, such as `{"CPU": {"AVX2": "1"}}`.
        gpu_offload: Whether layers can be offloaded: there is a GPU, and a back-end for it.
        devices: What it found on this machine.
        backends: What was compiled in, such as `CPU` and `Vulkan`.
    """

    version: str
    library: Path
    features: Mapping[str, Mapping[str, str]]
    gpu_offload: bool
    devices: tuple[Device, ...]
    backends: tuple[str, ...] = ("CPU",)

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
        devices=devices(),
        backends=backends(),
    )


def can_offload() -> bool:
    """Whether layers of a model can be computed on a GPU: there is one, and llama.cpp was built for it."""
    return bool(library().api.llama_supports_gpu_offload())


def gpu_backends(found: Iterable[str]) -> list[str]:
    """Those of the back-ends that compute on a GPU."""
    return [name for name in found if name not in CPU_BACKENDS]


def ignored_layers(n_gpu_layers: int | None) -> str:
    """A sentence for a user who asked for layers on a GPU that cannot be had; else empty."""
    if not n_gpu_layers or can_offload():
        return ""
    asked = "1 layer" if n_gpu_layers == 1 else f"{n_gpu_layers} layers"
    built = gpu_backends(backends())
    why = f"finds no GPU for {', '.join(built)}" if built else "was built for the CPU only"
    return f"llama.cpp {why}, so {asked} on the GPU cannot be had (see blendin doctor)"


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
