"""Steering vectors and their gate: what two groups of hidden states differ by, and which group one is of.

Here: `mean_difference`; `Gate` and `fit_gate`; `auc`; `middle_third`. Hidden states are the outputs of a
model's layers after the last token of a prompt, shape (n_prompts, n_layers, n_embd).
Not here: how states are read (`engine.layer_outputs`), the file (`engine.control_vector`).
Source: Wang et al., InferAligner, EMNLP 2024: a vector is mean(harmful) - mean(harmless); the gate opens
where <a, s> + b > 0 for the state a at one layer and the model's own difference s. Which layer and which b is
left open there; here b is the middle between the two groups, and the layer is the one that tells them apart
best.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FOLDS = 4

States = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Gate:
    """Whether a prompt is of the kind that a vector is for.

    Attributes:
        layer: The layer whose output is looked at, counted from 0.
        direction: Of length 1, shape (n_embd,).
        threshold: The projection on the direction above which the gate opens.
        auc: Of held-out prompts, the share of pairs of both kinds in the right order; 0.5 is chance.
    """

    layer: int
    direction: NDArray[np.float32] = field(repr=False)
    threshold: float
    auc: float

    def value(self, states: States) -> float:
        """How far a prompt is beyond the threshold; the gate opens above 0.

        Args:
            states: Of one prompt, shape (n_layers, n_embd).
        """
        return float(states[self.layer].astype(np.float64) @ self.direction) - self.threshold

    def opens(self, states: States) -> bool:
        """Whether a prompt is of the kind that the vector is for."""
        return self.value(states) > 0


def mean_difference(states: States, harmful: Flags) -> NDArray[np.float64]:
    """Mean of the harmful minus mean of the harmless, for every layer; shape (n_layers, n_embd)."""
    wide = states.astype(np.float64)
    difference: NDArray[np.float64] = wide[harmful].mean(0) - wide[~harmful].mean(0)
    return difference


def auc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """The share of pairs of which the positive one is larger, ties counted half."""
    difference = positive[:, None] - negative[None, :]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def middle_third(n_layers: int) -> range:
    """The layers that are steered unless others are named; layer 0 cannot be."""
    first = max(1, n_layers // 3)
    return range(first, max(first + 1, n_layers - n_layers // 3))


def fit_gate(states: States, harmful: Flags, held_out: Flags) -> Gate:
    """The gate that tells harmful prompts from harmless ones.

    The layer is chosen on the prompts that are not held out, by cross-validation, so that the AUC on those
    that are is an honest one. Where several layers are equally good, it is the one of them with the largest
    difference in standard deviations.

    Args:
        states: Of all prompts.
        harmful: Which are of the kind that opens the gate.
        held_out: Which are left for the AUC; both kinds among them, and among the others `FOLDS` of each.
    """
    own, kinds = states[~held_out], harmful[~held_out]
    folds = _folds(kinds)
    scores = [_score(own[:, layer], kinds, folds) for layer in range(states.shape[1])]
    layer = max(range(len(scores)), key=lambda each: scores[each])
    direction, threshold = _boundary(own[:, layer], kinds)
    values = states[held_out][:, layer] @ direction
    there = harmful[held_out]
    return Gate(layer, direction.astype(np.float32), threshold, auc(values[there], values[~there]))


def _boundary(states: States, harmful: Flags) -> tuple[NDArray[np.float64], float]:
    """The direction between the two means, and the middle between their projections on it."""
    wide = states.astype(np.float64)
    high, low = wide[harmful].mean(0), wide[~harmful].mean(0)
    length = float(np.linalg.norm(high - low))
    direction = (high - low) / (length or 1.0)
    return direction, float((high + low) @ direction / 2)


def _score(states: States, harmful: Flags, folds: NDArray[np.int_]) -> tuple[float, float]:
    """How well one layer tells prompts apart that were not used for its direction: AUC, and distance."""
    values = np.zeros(len(states))
    for fold in range(FOLDS):
        rest = folds != fold
        direction, threshold = _boundary(states[rest], harmful[rest])
        values[~rest] = states[~rest] @ direction - threshold
    high, low = values[harmful], values[~harmful]
    spread = float(np.sqrt((high.var() + low.var()) / 2))
    return auc(high, low), float(high.mean() - low.mean()) / (spread or 1.0)


def _folds(harmful: Flags) -> NDArray[np.int_]:
    """A number from 0 for every prompt; each kind is dealt out evenly, in order."""
    folds = np.zeros(len(harmful), int)
    for kind in (True, False):
        where = np.flatnonzero(harmful == kind)
        folds[where] = np.arange(len(where)) % FOLDS
    return folds
