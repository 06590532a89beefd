"""How many rows to answer at once where nobody said.

Here: `choose_parallel`, a pure function, and `parallel_for`, which feeds it from the files of the models.
Not here: how rows share a batch (`pair`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from blendin_local.core.methods import Role
from blendin_local.decode.loaded_model import memory_estimate
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.machine import usable_threads
from blendin_local.engine.memory import available_memory
from blendin_local.settings import ModelSettings

PER_CORE = 8  # on two cores 16 at once gave twice the rows of one, and 32 no more than 16
MOST = 32  # a machine with many cores was not measured
SHARE = 0.5  # of the memory that weights and one conversation leave


def choose_parallel(cores: int, free: int, weights: int, per_lane: int, rows: int) -> int:
    """Rows at once: by cores, at most what half of the memory left beside the weights holds.

    Args:
        cores: Cores this process may use.
        free: Bytes it may use.
        weights: Bytes needed once.
        per_lane: Bytes of one conversation in both models.
        rows: Rows there are to answer.
    """
    room = max(0, int((free - weights) * SHARE))
    fits = room // per_lane if per_lane else MOST
    return max(1, min(cores * PER_CORE, MOST, fits, rows))


def parallel_for(files: Mapping[Role, tuple[Path, ModelSettings]], rows: int) -> int:
    """The same, from the headers of the models on this machine."""
    headers = [(read_header(path), settings) for path, settings in files.values()]
    one, two = (sum(memory_estimate(*file, n_parallel).total for file in headers) for n_parallel in (1, 2))
    per_lane = two - one
    return choose_parallel(usable_threads(), available_memory(), one - per_lane, per_lane, rows)
