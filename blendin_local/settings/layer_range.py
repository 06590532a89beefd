"""A range of a model's layers, as `--layers FIRST-LAST` takes it; counted from 0, both ends included.

Here: `LayerRange` and `layer_range`, which reads one from text.
Not here: which layers a model or a file has (`engine`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from blendin_local.errors import UsageError
from blendin_local.settings.interval import quoted

RANGE = re.compile(r"(\d{1,4})-(\d{1,4})", re.ASCII)
ONE = re.compile(r"\d{1,4}", re.ASCII)


class LayerRange(NamedTuple):
    """The layers from `first` to `last`."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def has(self, layer: int) -> bool:
        """Whether a layer is one of them."""
        return self.first <= layer <= self.last


def layer_range(text: str, name: str = "layers") -> LayerRange:
    """Read `5-9`, or `7` alone.

    Args:
        text: What was given.
        name: What messages call it.

    Raises:
        UsageError: The text is something else, or the last layer comes before the first.
    """
    match = RANGE.fullmatch(f"{text}-{text}" if ONE.fullmatch(text) else text)
    found = None if match is None else LayerRange(int(match[1]), int(match[2]))
    if found is None or found.first > found.last:
        raise UsageError(f"{name} is {quoted(text)}", "give FIRST-LAST, such as 5-9")
    return found
