"""The report of `blendin doctor` on the terminal.

Here: `diagnosis_view`.
Not here: what is checked (`jobs.doctor`).
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from blendin_local.engine.build import Build, gpu_backends
from blendin_local.engine.devices import Device
from blendin_local.engine.memory import mebibytes
from blendin_local.jobs.doctor import Diagnosis, HistoryState
from blendin_local.views.answer import counted
from blendin_local.views.inventory import fields
from blendin_local.views.sizes import megabytes


def diagnosis_view(found: Diagnosis) -> RenderableType:
    """The whole report; problems come last, next to the prompt."""
    machine = found.machine
    network = {True: "the hub is reachable", False: "the hub is not reachable", None: "not checked"}[
        found.network
    ]
    parts: list[RenderableType] = [
        fields(found.versions.items(), title="versions"),
        Text(),
        fields(_build_rows(found.build), title="llama.cpp"),
        Text(),
        fields(
            [
                ("cores", f"{machine['cores']}, {machine['threads']} used"),
                ("affinity", _known(machine["affinity"], "CPUs")),
                ("container limit", _known(machine["cpu_quota"], "CPUs")),
                ("memory", mebibytes(int(machine["memory_total"] or 0))),
                ("available", mebibytes(int(machine["memory_available"] or 0))),
                ("disk free", megabytes(found.disk_free)),
                ("network", network),
            ],
            title="machine",
        ),
        Text(),
        fields(found.paths.items(), title="paths"),
        Text(),
        fields(_history_rows(found.history), title="history of conversations"),
    ]
    if found.offload:
        rows = [
            (item.reference, f"{_layers(item.offloaded, item.layers)}{item.note}") for item in found.offload
        ]
        parts += [Text(), fields(rows, title=f"pair {found.pair}: layers on a GPU")]
    for finding in found.findings:
        parts += [Text(), Text(finding.message, style="warning"), Text(f"  {finding.hint}")]
    if not found.findings:
        parts += [Text(), Text("no problems found", style="heading")]
    return Group(*parts)


def _build_rows(build: Build | None) -> list[tuple[str, str]]:
    if build is None:
        return [("state", "cannot be imported")]
    rows = [("library", str(build.library))]
    for backend, features in build.features.items():
        on = [name if value == "1" else f"{name}={value}" for name, value in features.items() if value != "0"]
        rows.append((backend, " ".join(on)))
    rows += [(device.name, _device(device)) for device in build.devices if device.gpu]
    rows.append(("GPU", "layers can be offloaded" if build.gpu_offload else _no_gpu(build)))
    return rows


def _device(device: Device) -> str:
    if not device.memory_total:
        return device.description
    return f"{device.description}, {mebibytes(device.memory_free)} free of {mebibytes(device.memory_total)}"


def _no_gpu(build: Build) -> str:
    built = gpu_backends(build.backends)
    return f"none found; built for {', '.join(built)}" if built else "none: built for the CPU only"


def _history_rows(history: HistoryState) -> list[tuple[str, str]]:
    held = "" if history.conversations is None else f", {counted(history.conversations, 'conversation')}"
    return [
        ("file", history.path),
        ("size", f"{megabytes(history.size)}{held}" if history.size else "no file yet"),
        ("kept", "yes; --no-log keeps nothing" if history.kept else "no: it is turned off"),
    ]


def _known(number: float | None, unit: str) -> str:
    return "" if number is None else f"{number:g} {unit}"


def _layers(offloaded: int, layers: int) -> str:
    return f"{offloaded} of {layers}; " if layers else ""
