"""What `blendin steer learn` found: the vector, its gate, and how good they can be expected to be.

Here: `SteerReport`.
Not here: how it is found (`jobs.steer.job`), how it is shown (`views.steer`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

WEAK_AUC = 0.9
"""Below this, one in ten pairs of held-out prompts is in the wrong order: the gate is not to be relied on."""


@dataclass(frozen=True)
class SteerReport:
    """A vector that was learned.

    Attributes:
        path: Its file.
        architecture: The models'.
        width: Length of its directions.
        layers: The layers that have one.
        strengths: By layer, the length of the direction as a share of that of the base's own states.
        gate_layer: The layer whose state opens the gate.
        threshold: The projection above which it opens.
        auc: Of the gate, on held-out prompts.
        right: How many of these the gate puts on the right side.
        held_out: How many there are.
        n_harmful: Harmful prompts, held-out ones included.
        n_harmless: Harmless ones, likewise.
    """

    path: Path
    architecture: str
    width: int
    layers: tuple[int, ...]
    strengths: Mapping[int, float]
    gate_layer: int
    threshold: float
    auc: float
    right: int
    held_out: int
    n_harmful: int
    n_harmless: int

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that the user should know."""
        if self.auc >= WEAK_AUC:
            return ()
        return (
            f"the gate is weak: its AUC on held-out prompts is {self.auc:.2f}; --method steer will often be "
            "wrong about a prompt. Give more prompts, or clearer ones.",
        )

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            **asdict(self),
            "path": str(self.path),
            "layers": list(self.layers),
            "strengths": {str(layer): strength for layer, strength in self.strengths.items()},
            "notes": list(self.notes),
        }
