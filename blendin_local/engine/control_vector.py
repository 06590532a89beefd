"""Control vectors: directions that are added to the outputs of a model's layers.

Here: `read_control_vector`, for llama.cpp's GGUF form, which repeng writes too, and `control_vector_bytes`;
whether one fits a model; and `set_control_vector`, which has a context add it.
Not here: how one is found (`engine.layer_outputs`, `jobs.steer`).
Source: llama.cpp, `common/common.cpp` (the form of the file) and `src/llama-adapter.cpp`: `direction.N` is
added to the output of layer N, at every token of every sequence of the context; layer 0 cannot have one.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.steering import Gate
from blendin_local.engine.context import Context
from blendin_local.engine.gguf.header import Header, check_whole_file
from blendin_local.engine.gguf.reader import GgufFile, Tensor
from blendin_local.engine.gguf.writer import WritableValue, gguf_bytes
from blendin_local.engine.library import library
from blendin_local.errors import LoadError, PairError, UsageError
from blendin_local.paths import expand_user, read_bytes
from blendin_local.settings import LayerRange, scaled_file

ARCHITECTURE = "controlvector"
HINT = "controlvector.model_hint"
GATE = "blendin.gate."  # llama.cpp takes no other tensors, so the gate is kept in the file's metadata
MAX_BYTES = 2**28
MAX_WIDTH = 2**20
F32 = 0
_DIRECTION = re.compile(r"direction\.([1-9]\d{0,3})", re.ASCII)
# Hugging Face's names of model types, as repeng writes them, where llama.cpp has another; without punctuation
_ALIASES = {"mistral": "llama", "mixtral": "llama", "gemma3text": "gemma3", "cohere": "commandr"}


@dataclass(frozen=True)
class ControlVector:
    """What a file adds to a model.

    Attributes:
        path: The file.
        scale: What its directions are multiplied by.
        sha256: Of the file.
        architecture: The model's that it was made for, as its maker calls it; empty if it does not say.
        directions: By layer that is steered, each of shape (n_embd,), without the scale.
        n_layers: The fewest layers of a model that the whole file can be for.
        gate: What tells the prompts apart that it is for, if the file has one.
        layers: The first and the last of the file's layers that are steered; None if no range was named.
    """

    path: Path
    scale: float
    sha256: str
    architecture: str
    directions: Mapping[int, NDArray[np.float32]] = field(repr=False)
    n_layers: int
    gate: Gate | None = None
    layers: LayerRange | None = None

    @property
    def width(self) -> int:
        """Length of each direction."""
        return len(next(iter(self.directions.values())))

    def facts(self) -> dict[str, Any]:
        """What identifies it in a record."""
        layers = {} if self.layers is None else {"layers": str(self.layers)}
        return {"file": self.path.name, "sha256": self.sha256, "scale": self.scale, **layers}

    def require_fit(self, header: Header) -> None:
        """Raise `PairError` unless it was made for a model of this architecture, width and depth."""
        mine, its = _plain(header.architecture), _plain(self.architecture)
        what, hint = f"the control vector {self.path}", f"use one that was made for {header.path.name}"
        if its and mine != its:
            found = f"a model of architecture {self.architecture}, and {header.path.name} is"
            raise PairError(f"{what} is for {found} {header.architecture}", hint)
        if self.width != header.n_embd:
            found = f"a model of width {self.width}, and {header.path.name} has"
            raise PairError(f"{what} is for {found} {header.n_embd}", hint)
        if self.n_layers > header.n_layers:
            found = f"a model of at least {self.n_layers} layers, and {header.path.name} has"
            raise PairError(f"{what} is for {found} {header.n_layers}", hint)

    def scaled_rows(self, n_layers: int) -> NDArray[np.float32]:
        """What is added to the outputs of layers 1, 2, ...; shape (n_layers - 1, n_embd)."""
        rows = np.zeros((n_layers - 1, self.width), np.float32)
        for layer, direction in self.directions.items():
            rows[layer - 1] = direction * np.float32(self.scale)
        return rows


def read_control_vector(text: str) -> ControlVector:
    """Read a control vector.

    Args:
        text: As `scaled_file` reads it.

    Raises:
        LoadError: It is no whole GGUF file with directions of one length.
        UsageError: The file is too large, the text names none, or it has none of the layers that are named.
    """
    named = scaled_file(text)
    path = expand_user(named.path)
    check_whole_file(path)
    try:
        data = read_bytes(path, MAX_BYTES, regular_only=True)
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
    with GgufFile(path) as file:
        kind, hint = file.value("general.architecture"), file.value(HINT)
        if kind != ARCHITECTURE:
            raise LoadError(
                f"{path} is not a control vector but a GGUF file of kind {str(kind)[:40]!r}",
                "name a file of blendin steer learn, llama-cvector-generator or repeng",
            )
        if len(data) < file.least_size:
            raise _refused(path, f"it is cut short: {len(data):,} bytes of {file.least_size:,}")
        found = {_layer_of(path, t): _numbers(path, t, data, file.header_bytes) for t in file.tensors}
        gate = _gate(path, file)
    if not found or len({len(direction) for direction in found.values()}) != 1:
        raise _refused(path, "it needs directions, all of one length")
    architecture = hint if isinstance(hint, str) else ""
    digest = hashlib.sha256(data).hexdigest()
    directions = _directions(path, found, named.layers)
    n_layers = max([*found, *([gate.layer] if gate else [])]) + 1
    layers = named.layers and LayerRange(min(directions), max(directions))
    vector = ControlVector(path, named.scale, digest, architecture, directions, n_layers, gate, layers)
    if gate is not None and len(gate.direction) != vector.width:
        raise _refused(
            path, f"its gate is of length {len(gate.direction)}, and its directions {vector.width}"
        )
    return vector


def control_vector_bytes(
    architecture: str,
    directions: Mapping[int, NDArray[np.float32]],
    gate: Gate,
    facts: Mapping[str, WritableValue],
) -> bytes:
    """The file of a control vector with its gate.

    Args:
        architecture: The model's, under llama.cpp's name.
        directions: By layer, from 1.
        gate: What tells the prompts apart that it is for.
        facts: Further keys: what it was learned from.
    """
    values: dict[str, WritableValue] = {
        "general.architecture": ARCHITECTURE,
        HINT: architecture,
        "controlvector.layer_count": len(directions),
        f"{GATE}layer": gate.layer,
        f"{GATE}threshold": gate.threshold,
        f"{GATE}auc": gate.auc,
        f"{GATE}direction": gate.direction,
        **facts,
    }
    return gguf_bytes(values, {f"direction.{layer}": numbers for layer, numbers in directions.items()})


def fitting_control_vector(text: str | None, header: Header) -> ControlVector | None:
    """The control vector that a model is to be run with; None if none is named.

    Raises:
        LoadError: As for `read_control_vector`.
        PairError: It does not fit the model.
    """
    if text is None:
        return None
    vector = read_control_vector(text)
    vector.require_fit(header)
    return vector


def control_vector_facts(text: str) -> dict[str, Any]:
    """The facts of a control vector by the text that names it; errors as for `read_control_vector`."""
    return read_control_vector(text).facts()


def set_control_vector(context: Context, vector: ControlVector | None) -> None:
    """Have a context add a control vector from now on, or none.

    What the context has read already stays as it is: set it before a prompt is read. A scale of 0 is none, so
    that results are the same to the last bit.

    Raises:
        UsageError: llama.cpp refused it.
    """
    api = library().api
    if vector is None or vector.scale == 0:
        code = api.llama_set_adapter_cvec(context.handle, None, 0, 0, 0, 0)
    else:
        n_layers = context.model.n_layers
        rows = np.ascontiguousarray(vector.scaled_rows(n_layers))
        data = rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        code = api.llama_set_adapter_cvec(context.handle, data, rows.size, vector.width, 1, n_layers - 1)
    if code != 0:
        raise UsageError(
            f"{context.model.path} takes no control vector: {library().reason('llama.cpp gave no reason')}",
            "leave out --control-vector",
        )


def _plain(architecture: str) -> str:
    name = re.sub(r"[\W_]", "", architecture).lower()
    return _ALIASES.get(name, name)


def _layer_of(path: Path, tensor: Tensor) -> int:
    match = _DIRECTION.fullmatch(tensor.name)
    if match is None:
        raise _refused(path, f"its tensor {tensor.name!r} is none of direction.1, direction.2, ...")
    return int(match[1])


def _numbers(path: Path, tensor: Tensor, data: bytes, start: int) -> NDArray[np.float32]:
    if tensor.kind != F32 or len(tensor.shape) != 1:
        raise _refused(path, f"{tensor.name} is not a row of 32-bit numbers")
    numbers = np.frombuffer(data, "<f4", tensor.shape[0], start + tensor.offset).astype(np.float32)
    if not np.isfinite(numbers).all():
        raise _refused(path, f"{tensor.name} has values that are no numbers")
    return numbers


def _directions(
    path: Path, found: Mapping[int, NDArray[np.float32]], layers: LayerRange | None
) -> dict[int, NDArray[np.float32]]:
    """Those of a file's directions that are used, by layer."""
    used = {layer: found[layer] for layer in sorted(found) if layers is None or layers.has(layer)}
    if not used:
        raise UsageError(f"{path} has no directions for layers {layers}", f"it has {_listed(sorted(found))}")
    return used


def _listed(layers: list[int]) -> str:
    """`layers 5-9`, or each of them where some between are missing."""
    first, last = layers[0], layers[-1]
    whole = last - first == len(layers) - 1
    return f"layers {first}-{last}" if whole else f"layers {', '.join(map(str, layers))}"


def _gate(path: Path, file: GgufFile) -> Gate | None:
    """The gate in the metadata; None if there is none."""
    if f"{GATE}layer" not in file.entries:
        return None
    layer, threshold, auc = (file.value(f"{GATE}{name}") for name in ("layer", "threshold", "auc"))
    direction = np.array(file.raw_numbers(f"{GATE}direction", MAX_WIDTH) or (), np.float32)
    if isinstance(layer, int) and isinstance(threshold, float) and isinstance(auc, float):
        gate = Gate(layer, direction, threshold, auc)
        if layer >= 0 and np.isfinite([threshold, auc, *direction]).all():
            return gate
    raise _refused(path, "the gate in its metadata is damaged")


def _refused(path: Path, why: str) -> LoadError:
    return LoadError(f"{path} cannot be used as a control vector: {why}", "fetch it again, or make a new one")
