"""Which layers of a model llama.cpp puts on which device.

Here: `Part`, and `parts_of`, the parts that a number of offloaded layers makes of a model.
Not here: the devices (`engine.devices`), what a part takes (`engine.memory`).
Source: `load_tensors` in llama.cpp's `src/llama-model.cpp`: the last layers are offloaded, what follows them
counts as one more, and devices share them in proportion to their free memory. The table of embeddings stays
with the processor.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

PIPELINE_COPIES = 4  # GGML_SCHED_MAX_COPIES


@dataclass(frozen=True, slots=True)
class Part:
    """What of a model lies in one place.

    Attributes:
        layers: Its layers; may be empty.
        has_input: Whether the table of embeddings is there.
        has_output: Whether what follows the last layer is.
        lent: Layers of the processor that are lent to this device, one after another, to read a prompt.
        copies: How often the input is there: several devices that hold all layers work on some at once.
    """

    layers: range
    has_input: bool = False
    has_output: bool = False
    lent: range = range(0)
    copies: int = 1

    @property
    def is_empty(self) -> bool:
        """Whether nothing lies there."""
        return not (self.layers or self.has_input or self.has_output)


def offloaded_layers(n_layers: int, n_gpu_layers: int | None) -> int:
    """How many layers go to devices, the output counted as one; None asks for all."""
    return n_layers + 1 if n_gpu_layers is None else min(n_gpu_layers, n_layers + 1)


def parts_of(n_layers: int, n_gpu_layers: int | None, free: Sequence[int]) -> tuple[Part, ...]:
    """The part of the processor, then that of each device.

    Args:
        n_layers: The model's.
        n_gpu_layers: How many are to be offloaded, as `-ngl` counts them; None for all.
        free: Bytes free on each device, in llama.cpp's order; empty where there is none.
    """
    n_offloaded = offloaded_layers(n_layers, n_gpu_layers) if free else 0
    first = n_layers + 1 - n_offloaded
    bounds = list(accumulate(free))
    total = bounds[-1] if bounds else 0
    owners = [
        bisect_right(bounds, total * i / n_offloaded) if total else 0  # the device of each offloaded layer
        for i in range(n_offloaded)
    ]
    ends = [first, *(first + bisect_right(owners, device) for device in range(len(free)))]
    lent = range(min(first, n_layers))
    copies = PIPELINE_COPIES if len(free) > 1 and first == 0 else 1
    on_devices = (
        Part(
            _layers(start, stop, n_layers),
            has_output=start <= n_layers < stop,
            lent=range(0) if i else lent,  # the first device takes what is lent
            copies=copies,
        )
        for i, (start, stop) in enumerate(pairwise(ends))
    )
    return Part(lent, has_input=True, has_output=first > n_layers, copies=copies), *on_devices


def _layers(start: int, stop: int, n_layers: int) -> range:
    """Numbers of layers without the one after the last, which stands for the output."""
    return range(min(start, n_layers), min(stop, n_layers))
