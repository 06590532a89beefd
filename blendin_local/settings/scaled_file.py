"""A file with a factor, as `--control-vector FILE[:SCALE]` takes it.

Here: `ScaledFile` and `scaled_file`, which reads one from text without looking at the disk.
Not here: what is in the file (`engine.control_vector`).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

from blendin_local.errors import UsageError
from blendin_local.settings.interval import quoted

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
MAX_SCALE = 1e6


class ScaledFile(NamedTuple):
    """A file and what its numbers are multiplied by."""

    path: Path
    scale: float = 1.0


def scaled_file(text: str, name: str = "control-vector") -> ScaledFile:
    """Read `FILE` or `FILE:SCALE`. What follows the last colon is part of the name unless it is a number.

    Args:
        text: What was given.
        name: What messages call the setting.

    Raises:
        UsageError: There is no file in it, or the scale is out of bounds.
    """
    path, colon, number = text.rpartition(":")
    scale = 1.0
    if colon and NUMBER.fullmatch(number):
        scale = float(number)
    else:
        path = text
    if not path or "\0" in path:
        raise UsageError(f"{name} is {quoted(text)}", "give a file, or FILE:SCALE")
    if not (math.isfinite(scale) and abs(scale) <= MAX_SCALE):
        raise UsageError(
            f"{name} has the scale {quoted(number)}", f"give one from {-MAX_SCALE:g} to {MAX_SCALE:g}"
        )
    return ScaledFile(Path(path), scale)
