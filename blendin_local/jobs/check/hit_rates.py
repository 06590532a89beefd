"""How often a signal of `blendin check` was right on evaluated pairs: counts that ship with the program.

Here: `HitRate` and `shipped_hit_rates`.
Not here: how they were counted (`benchmarks/foretell.py` writes `data/signals.json`), what the signals are
(`verdicts`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

PROBE = "probe"  # the name of the probe's verdict among the signals


@dataclass(frozen=True, slots=True)
class HitRate:
    """On how many evaluated pairs a signal was right for one purpose, and on how many wrong."""

    right: int
    wrong: int


HitRates = Mapping[str, Mapping[str, HitRate]]
"""By signal, then by purpose."""


def shipped_hit_rates() -> HitRates:
    """The counts in `data/signals.json`; empty where none were made."""
    text = resources.files(__package__).joinpath("data", "signals.json").read_text(encoding="utf-8")
    return {
        signal: {purpose: HitRate(counts["right"], counts["wrong"]) for purpose, counts in found.items()}
        for signal, found in json.loads(text)["signals"].items()
    }
