"""What this machine and this installation can do, as one record to read or to paste into a report.

Here: `examine`, the record `Diagnosis`, and which findings are worth a warning.
Not here: the measurements (`engine.build`, `engine.machine`, `engine.memory`), their look (`views.doctor`).
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from blendin_local import __version__
from blendin_local.decode.memory_plan import memory_parts
from blendin_local.engine.build import Build, describe_build, gpu_backends
from blendin_local.engine.devices import offload_devices
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.library import VERSION
from blendin_local.engine.machine import (
    affinity,
    available_memory,
    cpu_quota,
    physical_cores,
    total_memory,
    usable_threads,
)
from blendin_local.errors import BlendinError, LoadError
from blendin_local.history.place import history_file
from blendin_local.history.queries import count
from blendin_local.models.hub import is_hub_reachable
from blendin_local.models.references import resolve
from blendin_local.models.registry import Registry, shipped_file, user_file
from blendin_local.models.store import Store
from blendin_local.settings import ModelSettings

VULKANINFO_S = 10  # seconds
LIBRARIES = ("llama-cpp-python", "numpy", "huggingface-hub", "typer", "rich", "prompt-toolkit")
X86 = frozenset({"x86_64", "amd64"})
ARM = frozenset({"arm64", "aarch64"})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth a warning, and what to do about it."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Offload:
    """What of one model would go to a GPU.

    Attributes:
        reference: The model.
        layers: Its layers, the output counted as one, as `-ngl` does; 0 if its file is not here.
        offloaded: Layers that would be offloaded.
        note: Why, or what prevents it.
    """

    reference: str
    layers: int
    offloaded: int
    note: str


@dataclass(frozen=True, slots=True)
class HistoryState:
    """The history of conversations.

    Attributes:
        path: Where it is, or would be.
        size: Bytes of the file; 0 if there is none.
        conversations: How many it holds; None if it cannot be read.
        kept: Whether questions and answers are kept.
    """

    path: str
    size: int
    conversations: int | None
    kept: bool


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything `doctor` found.

    Attributes:
        versions: Of this program, Python, the system and the libraries.
        build: The installed llama.cpp; None if it cannot be imported.
        machine: Cores and memory as this process sees them.
        paths: Where things are, or would be.
        disk_free: Bytes free where models are kept.
        network: Whether the hub answers; None if that was not tried.
        pair: Name of the pair that was looked at; empty for none.
        offload: Per model of the pair what would be offloaded.
        gpu_command: What makes llama.cpp use this machine's GPU; empty if there is none to use.
        history: Where conversations are kept, and whether they are.
        findings: What is worth a warning.
    """

    versions: Mapping[str, str]
    build: Build | None
    machine: Mapping[str, int | float | None]
    paths: Mapping[str, str]
    disk_free: int
    network: bool | None
    pair: str
    offload: tuple[Offload, ...]
    gpu_command: str
    history: HistoryState
    findings: tuple[Finding, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Names and plain values only."""
        found = asdict(self)
        if found["build"]:
            found["build"]["library"] = str(found["build"]["library"])
        return found


def examine(
    registry: Registry, store: Store, *, pair: str = "", offline: bool = False, keeps_history: bool = True
) -> Diagnosis:
    """Look at the installation, the machine and a pair; nothing is loaded or fetched.

    Args:
        registry: The names.
        store: Where models are kept.
        pair: The pair to look at; empty for the default one.
        offline: Whether the network must not be tried.
        keeps_history: Whether the command line keeps questions and answers.
    """
    findings: list[Finding] = []
    try:
        build = describe_build()
    except LoadError as error:
        build = None
        findings.append(Finding(error.message, error.hint))
    if build is not None:
        findings += build_findings(build, platform.machine())
    gpu = gpu_command(build, platform.system(), platform.machine(), shutil.which)
    if gpu:
        findings.append(Finding("this machine seems to have a GPU, but llama.cpp was built without one", gpu))
    network = None if offline else is_hub_reachable()
    if network is False:
        findings.append(Finding("the hub does not answer", "models on this machine can still be used"))
    if store_fault := unreadable(store):
        findings.append(
            Finding(store_fault, "give yourself the right, or set BLENDIN_CACHE to another directory")
        )
    history, history_fault = _history(keeps_history)
    findings += history_fault
    name = pair or registry.defaults.pair
    return Diagnosis(
        versions=_versions(),
        build=build,
        machine=_machine(),
        paths=_paths(store),
        disk_free=_disk_free(store.root),
        network=network,
        pair=name if name in registry.pairs else "",
        offload=_offloads(name, registry, store, build),
        gpu_command=gpu,
        history=history,
        findings=tuple(findings),
    )


def build_findings(build: Build, processor: str) -> list[Finding]:
    """What is wrong with a build: vector instructions it does not use, no GPU, libraries not its own."""
    found = []
    native = f'CMAKE_ARGS="-DGGML_NATIVE=on" {reinstall()}'
    if processor.lower() in X86 and not build.has("AVX2"):
        found.append(Finding("llama.cpp was built without AVX2 and will be very slow", native))
    if processor.lower() in ARM and not build.has("NEON"):
        found.append(Finding("llama.cpp was built without NEON and will be very slow", native))
    if (gpu := gpu_backends(build.backends)) and not build.gpu_offload:
        found.append(
            Finding(
                f"llama.cpp was built for {', '.join(gpu)}, but finds no GPU",
                "install the GPU's driver, or unset CUDA_VISIBLE_DEVICES or GGML_VK_VISIBLE_DEVICES",
            )
        )
    if os.environ.get("LLAMA_CPP_LIB_PATH"):
        found.append(
            Finding(
                "LLAMA_CPP_LIB_PATH replaces the library that was installed", "unset it unless you mean it"
            )
        )
    return found


def unreadable(store: Store) -> str:
    """Why the fetched models cannot be listed; empty if they can, or where there are none yet."""
    try:
        store.files()
    except OSError as error:
        return f"{store.models} cannot be read: {error.strerror}"
    return ""


def gpu_command(build: Build | None, system: str, processor: str, which: Callable[[str], str | None]) -> str:
    """The command that installs llama.cpp for this machine's GPU; empty if it has one or none is found."""
    if build is not None and (build.gpu_offload or gpu_backends(build.backends)):
        return ""
    if system == "Darwin" and processor in ARM:
        option = "-DGGML_METAL=on"
    elif which("nvidia-smi"):
        option = "-DGGML_CUDA=on"
    elif (tool := which("vulkaninfo")) and vulkan_finds_gpu(tool):
        option = "-DGGML_VULKAN=on"
    else:
        return ""
    if system == "Windows":
        return f'$env:CMAKE_ARGS="{option}"; {reinstall()}'
    return f'CMAKE_ARGS="{option}" {reinstall()}'


def vulkan_finds_gpu(tool: str) -> bool:
    """Whether `vulkaninfo` lists a device that is no processor; drivers that use the processor are common."""
    try:
        said = subprocess.run(
            [tool, "--summary"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VULKANINFO_S,
            check=False,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return "_GPU" in said


def reinstall() -> str:
    """The command that rebuilds llama-cpp-python; without these options pip uses its cached build."""
    return f"{sys.executable} -m pip install --force-reinstall --no-cache-dir llama-cpp-python=={VERSION}"


def _versions() -> dict[str, str]:
    found = {
        "blendin-local": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _machine() -> dict[str, int | float | None]:
    return {
        "cores": physical_cores(),
        "affinity": affinity(),
        "cpu_quota": cpu_quota(),
        "threads": usable_threads(),
        "memory_total": total_memory(),
        "memory_available": available_memory(),
    }


def _paths(store: Store) -> dict[str, str]:
    return {
        "models": str(store.models),
        "vocabularies": str(store.vocabularies.directory),
        "user models.toml": str(user_file()),
        "shipped models.toml": str(shipped_file()),
        "python": sys.executable,
    }


def _history(kept: bool) -> tuple[HistoryState, list[Finding]]:
    """The state of the history, and what is wrong with it."""
    path = history_file()
    conversations, findings = None, []
    try:
        conversations = count(path)
    except BlendinError as error:
        findings = [Finding(error.message, error.hint)]
    return HistoryState(str(path), _size(path), conversations, kept), findings


def _size(path: Path) -> int:
    """Bytes of a file; 0 if there is none that can be seen."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _disk_free(place: Path) -> int:
    """Bytes free where models are kept; 0 if the system does not report it."""
    try:
        return shutil.disk_usage(_existing(place)).free
    except OSError:
        return 0


def _existing(path: Path) -> Path:
    return next((place for place in (path, *path.parents) if _is_there(place)), Path(path.anchor))


def _is_there(path: Path) -> bool:
    """Whether a path is there for us: one in a directory that may not be entered is not."""
    try:
        return path.exists()
    except OSError:
        return False


def _offloads(name: str, registry: Registry, store: Store, build: Build | None) -> tuple[Offload, ...]:
    pair = registry.pairs.get(name)
    if pair is None:
        return ()
    gpus = offload_devices(build.devices) if build else ()
    free = [gpu.memory_free if gpu.memory_total else available_memory() for gpu in gpus]
    found = []
    for reference in pair.references:
        offload, free = _offload(reference, registry, store, free)
        found.append(offload)
    return tuple(found)


def _offload(reference: str, registry: Registry, store: Store, free: list[int]) -> tuple[Offload, list[int]]:
    """What of one model fits into the free memory of the GPUs, and what is then left of it."""
    try:
        path = resolve(reference, registry, store=store, offline=False).path
        if path is None:
            return Offload(reference, 0, 0, "not on this machine"), free
        header = read_header(path)
    except BlendinError as error:
        return Offload(reference, 0, 0, error.message), free
    except OSError as error:
        return Offload(reference, 0, 0, f"cannot be read: {error.strerror or error}"), free
    layers = header.n_layers + 1  # as llama.cpp counts: with the output
    if not free:
        return Offload(reference, layers, 0, "runs on the processor"), free
    for n in range(layers, 0, -1):
        [_, *parts] = memory_parts(header, ModelSettings(n_gpu_layers=n), 1, free)
        if all(part.total <= room for part, room in zip(parts, free, strict=True)):
            left = [room - part.total for part, room in zip(parts, free, strict=True)]
            note = "fits as a whole" if n == layers else f"not all of it fits: use -ngl {n}"
            return Offload(reference, layers, n, note), left
    return Offload(reference, layers, 0, "nothing of it fits: use -ngl 0"), free
