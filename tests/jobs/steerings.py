"""Searches for scale and layers: on a scripted pair, and a toy with a control vector that has a gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blendin_local.core.steering import Gate
from blendin_local.engine.control_vector import control_vector_bytes
from blendin_local.jobs.tune.search import Search, steering_search
from blendin_local.jobs.tune.setting import TrialSetting
from blendin_local.settings import BlendSettings
from tests.toys import LAYERS, WIDTH

UNSTEERED = TrialSetting(BlendSettings(method="base"))
ALL_LAYERS = range(100, 111)


def search_of_eleven_layers() -> Search:
    """As of a deep model, whose layers have three digits."""
    return steering_search(UNSTEERED, Path("v.gguf"), ALL_LAYERS)


def gated_vector(path: Path, threshold: float = 0.0, width: int = WIDTH) -> Path:
    """A vector for a plain toy, which can be steered at one layer."""
    rng = np.random.default_rng(1)
    gate = rng.normal(size=width).astype(np.float32)
    shift = {1: (4 * rng.normal(size=width)).astype(np.float32)}
    path.write_bytes(control_vector_bytes("llama", shift, Gate(LAYERS - 1, gate, threshold, 0.9), {}))
    return path
