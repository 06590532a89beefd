"""Method `steer`: whether a prompt opens the gate of the base's control vector, decided before the answer.

Here: `with_gate`, which reads a prepared request's prompt for it; `require_gate`, whether there is a gate at
all.
Not here: the gate itself (`core.steering`), the contexts with and without the vector
(`decode.loaded_model`).
Source: Wang et al., InferAligner, EMNLP 2024: the gate judges the prompt once; where it opens, every token is
shifted. The states are read without the vector, in a context of their own, so the prompt is read twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from blendin_local.core.methods import STEERED, Role
from blendin_local.core.steering import Gate
from blendin_local.decode.loaded_model import LoadedModel
from blendin_local.decode.request import GateReading, PreparedRequest
from blendin_local.engine.context import StoppedError
from blendin_local.engine.control_vector import read_control_vector
from blendin_local.errors import PairError

HINT = "name a file of blendin steer learn with --base-control-vector FILE[:SCALE[:FIRST-LAST]]"


class _Gated(Protocol):
    @property
    def gate(self) -> Gate | None: ...


def require_gate(method: str, control_vector: str | None) -> None:
    """Raise an error where a method steers by a gate, and the base's control vector has none.

    Args:
        method: Its name.
        control_vector: The base's, as settings name it.

    Raises:
        PairError: There is no vector, or it has no gate.
        LoadError: The file cannot be used.
    """
    if method == STEERED:
        _gate_of(None if control_vector is None else read_control_vector(control_vector))


def _gate_of(vector: _Gated | None) -> Gate:
    if vector is None:
        raise PairError(f"method {STEERED} needs a control vector for the base", HINT)
    if vector.gate is None:
        raise PairError(f"method {STEERED} needs a gate, and the base's control vector has none", HINT)
    return vector.gate


def with_gate(
    request: PreparedRequest, models: Mapping[Role, LoadedModel], should_stop: Callable[[], bool]
) -> PreparedRequest:
    """A request of method `steer` with what the gate says of its prompt; any other as it is.

    Args:
        request: What is to be answered.
        models: The loaded models.
        should_stop: Polled while the prompt is read.

    Raises:
        PairError: The base's control vector has no gate.
        ContextFullError: The prompt is longer than the context.
        KeyboardInterrupt: `should_stop` became true.
    """
    if request.settings.blend.method != STEERED:
        return request
    base = models["base"]
    gate = _gate_of(base.control_vector)
    ids = base.model.vocabulary.tokenize_prompt(request.prompts["base"])
    try:
        value = gate.value(base.layer_outputs(ids, should_stop))
    except StoppedError:
        raise KeyboardInterrupt("stopped by you while the prompt was judged") from None
    reading = GateReading(gate.layer, gate.threshold, value)
    return replace(request, gate=reading, signature={**request.signature, "steering": reading.to_json()})
