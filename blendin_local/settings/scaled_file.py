"""A file with a factor and layers, as `--control-vector FILE[:SCALE[:FIRST-LAST]]` takes it.

Here: `ScaledFile` and `scaled_file`, which reads one from text without looking at the disk.
Not here: what is in the file (`engine.control_vector`), a range of layers alone (`settings.layer_range`).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

from blendin_local.errors import UsageError
from blendin_local.settings.interval import quoted
from blendin_local.settings.layer_range import RANGE, LayerRange, layer_range

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
MAX_SCALE = 1e6


class ScaledFile(NamedTuple):
    """A file, what its numbers are multiplied by, and for which layers they are used; None for all it has.

    As text it is what `scaled_file` reads.
    """

    path: Path
    scale: float = 1.0
    layers: LayerRange | None = None

    def __str__(self) -> str:
        scaled = f"{self.path}:{repr(float(self.scale)).removesuffix('.0')}"
        return scaled if self.layers is None else f"{scaled}:{self.layers}"


def scaled_file(text: str, name: str = "control-vector") -> ScaledFile:
    """Read `FILE`, `FILE:SCALE` or `FILE:SCALE:FIRST-LAST`.

    What follows the last colon is part of the name unless it is a number, or a range of layers that follows a
    number.

    Args:
        text: What was given.
        name: What messages call the setting.

    Raises:
        UsageError: There is no file in it, the scale is out of bounds, or the layers are in the wrong order.
    """
    scaled, layers = _layers_apart(text, name)
    path, number = _number_apart(scaled)
    scale = 1.0 if number is None else float(number)
    if not path or "\0" in path:
        raise UsageError(f"{name} is {quoted(text)}", "give a file, FILE:SCALE or FILE:SCALE:FIRST-LAST")
    if not (math.isfinite(scale) and abs(scale) <= MAX_SCALE):
        raise UsageError(
            f"{name} has the scale {quoted(number)}", f"give one from {-MAX_SCALE:g} to {MAX_SCALE:g}"
        )
    return ScaledFile(Path(path), scale, layers)


def _layers_apart(text: str, name: str) -> tuple[str, LayerRange | None]:
    scaled, _, layers = text.rpartition(":")
    if RANGE.fullmatch(layers) and _number_apart(scaled)[1] is not None:
        return scaled, layer_range(layers, f"{name}: the range of layers")
    return text, None


def _number_apart(text: str) -> tuple[str, str | None]:
    path, colon, number = text.rpartition(":")
    return (path, number) if colon and NUMBER.fullmatch(number) else (text, None)
