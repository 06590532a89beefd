"""What the mathematics of one step costs, part by part, in microseconds.

Run: python benchmarks/step_costs.py [--json]

Vocabularies of the demo pair, loaded without weights; logits are random. Before each step 64 MB are read, as
llama.cpp reads a model's weights: what a step needs of tables and logits is then no longer in the processor's
caches, which doubles most costs. `--warm` leaves that out. Medians of all steps.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import TypeVar

import numpy as np
from bridge import table
from numpy.typing import NDArray

from blendin_local.core.blending import auto_alpha, blend, greedy
from blendin_local.core.candidates import TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.models.fetch import ensure_local
from blendin_local.models.registry import load_registry
from blendin_local.settings import BlendSettings

STEPS = 300
TOP_K = BlendSettings().top_k
TEMPERATURE = 1.3
CACHE_FLOATS = 16 * 2**20  # 64 MB, more than the last cache of most processors


Made = TypeVar("Made")
Logits = NDArray[np.float32]


class StepCosts:
    """Seconds of each part, one per step."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def time(self, part: str, make: Callable[[], Made]) -> Made:
        """Call `make` and note how long it took."""
        started = perf_counter()
        made = make()
        self._seconds.setdefault(part, []).append(perf_counter() - started)
        return made

    def medians_us(self) -> dict[str, float]:
        """Microseconds by part."""
        return {part: 1e6 * median(seconds) for part, seconds in self._seconds.items()}


def run_step(costs: StepCosts, tables: dict[str, TokenTable], logits: dict[str, Logits]) -> None:
    """An asked step of BlendIn, with the confidences that alpha `calibrated` needs as well."""
    made = {role: predict(costs, role, of_role, logits[role]) for role, of_role in tables.items()}
    base = costs.time("base: candidate list", lambda: made["base"].candidates)
    guide = costs.time("guide: candidate list", lambda: made["guide"].candidates)
    alpha = costs.time("alpha, eq. 3", lambda: auto_alpha(base, guide, 0.1))
    blended = costs.time("blend, eq. 4", lambda: blend(base, guide, alpha))
    costs.time("choice, eq. 5", lambda: greedy(blended, base))
    costs.time("base: tempered confidence", lambda: made["base"].confidence(TEMPERATURE))
    costs.time("guide: tempered confidence", lambda: made["guide"].confidence(TEMPERATURE))


def predict(costs: StepCosts, role: str, of_role: TokenTable, logits: Logits) -> Prediction:
    """What every step needs of a model that is asked."""
    prediction = costs.time(f"{role}: top-1 probability", lambda: Prediction(logits, of_role, TOP_K))
    costs.time(f"{role}: silent or not", lambda: prediction.silent)
    return prediction


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--warm", action="store_true", help="leave the caches filled between steps")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    paths = ensure_local(["demo-base", "demo-guide"], load_registry())
    tables = {role: table(paths[f"demo-{role}"]) for role in ("base", "guide")}
    rng = np.random.default_rng(0)
    weights = np.ones(1 if options.warm else CACHE_FLOATS, np.float32)
    costs = StepCosts()
    for _ in range(STEPS):
        logits = {
            role: (3 * rng.standard_normal(len(each))).astype(np.float32) for role, each in tables.items()
        }
        weights.max()
        run_step(costs, tables, logits)
    medians = costs.medians_us()
    if options.json:
        print(json.dumps(medians))
        return
    for part, cost in medians.items():
        print(f"{part:28}{cost:8.0f} us")


if __name__ == "__main__":
    main()
