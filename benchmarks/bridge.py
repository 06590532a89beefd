"""What the bridge `prefix` costs per asked step, beside the candidate lists that every asked step needs.

Run: python benchmarks/bridge.py [--json]

Vocabularies of the demo pair, both ways round, loaded without weights; predictions are random. It prints
milliseconds per step, medians with the slowest in brackets, and the seconds that are spent once per pair.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from blendin_local.core.bridge import ids_by_prefix, merge_onto_prefixes
from blendin_local.core.candidates import TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.engine.library import library, set_fields
from blendin_local.engine.vocabulary import Vocabulary
from blendin_local.models.fetch import ensure_local
from blendin_local.models.registry import load_registry

STEPS = 200
TOP_K = 100


@dataclass(frozen=True)
class Figures:
    """One pair of vocabularies, measured once."""

    base_tokens: int
    guide_tokens: int
    counted_elsewhere: int
    lists_ms: float
    bridge_ms: float
    bridge_slowest_ms: float
    once_s: float


def table(path: Path) -> TokenTable:
    """The bytes of a model's tokens."""
    api = library().api
    parameters = api.llama_model_default_params()
    set_fields(parameters, vocab_only=True)
    handle = api.llama_model_load_from_file(str(path).encode(), parameters)
    vocabulary = Vocabulary(handle)
    built = TokenTable.build(vocabulary.pieces, vocabulary.end_ids, vocabulary.fallback_ids)
    api.llama_model_free(handle)
    return built


def measure(base: TokenTable, guide: TokenTable, rng: np.random.Generator) -> Figures:
    """Steps at which both models' lists are made, then bridged."""
    started = perf_counter()
    by_prefix = ids_by_prefix(base, guide)
    once_s = perf_counter() - started
    lists: list[float] = []
    bridged: list[float] = []
    for _ in range(STEPS):
        b, g = (
            Prediction((3 * rng.standard_normal(len(t))).astype(np.float32), t, TOP_K) for t in (base, guide)
        )
        started = perf_counter()
        assert b.candidates
        assert g.candidates
        made = perf_counter()
        merge_onto_prefixes(g, b)
        lists.append(1000 * (made - started))
        bridged.append(1000 * (perf_counter() - made))
    members = sum(len(ids) for ids in by_prefix.values())
    return Figures(len(base), len(guide), members, median(lists), median(bridged), max(bridged), once_s)


def main() -> None:
    """Measure both ways round and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    paths = ensure_local(["demo-base", "demo-guide"], load_registry())
    rng = np.random.default_rng(0)
    found = {}
    for names in (("demo-base", "demo-guide"), ("demo-guide", "demo-base")):
        base, guide = (table(paths[name]) for name in names)
        found[f"{names[1]} to {names[0]}"] = measure(base, guide, rng)
    if as_json:
        print(json.dumps({name: asdict(figures) for name, figures in found.items()}))
        return
    for name, f in found.items():
        print(f"{name}: {f.guide_tokens:,} tokens projected onto {f.base_tokens:,}")
        print(f"  lists   {f.lists_ms:.2f} ms a step")
        print(f"  bridge  {f.bridge_ms:.2f} ms a step ({f.bridge_slowest_ms:.2f}), {f.once_s:.2f} s once")


if __name__ == "__main__":
    main()
