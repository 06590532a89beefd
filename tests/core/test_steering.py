"""Gates and differences: against direct formulas, on states made up for the purpose."""

from __future__ import annotations

import numpy as np
import pytest

from blendin_local.core.steering import auc, fit_gate, mean_difference, middle_third

HARMFUL = np.array([True, False] * 24)
HELD_OUT = np.arange(48) >= 32


def states_of(*, apart_at=2, apart_by=4.0, seed=0):
    """Noise at four layers of width 6; at one of them the harmful ones lie apart along the first number."""
    states = np.random.default_rng(seed).normal(size=(48, 4, 6)).astype(np.float32)
    states[HARMFUL, apart_at, 0] += apart_by
    return states


def test_the_difference_is_that_of_the_means():
    """Harmful minus harmless, layer by layer."""
    states = states_of()
    by_hand = [
        [np.mean(states[HARMFUL, i, j]) - np.mean(states[~HARMFUL, i, j]) for j in range(6)] for i in range(4)
    ]

    assert np.allclose(mean_difference(states, HARMFUL), by_hand, atol=1e-6)


def test_auc_is_the_share_of_pairs_in_the_right_order():
    """Counted pair by pair, ties half."""
    rng = np.random.default_rng(1)
    high, low = rng.integers(0, 6, 15).astype(float) + 1, rng.integers(0, 6, 9).astype(float)
    by_hand = sum((a > b) + (a == b) / 2 for a in high for b in low) / (15 * 9)

    assert auc(high, low) == pytest.approx(by_hand)
    assert auc(np.ones(3), np.ones(4)) == 0.5
    assert (auc(high + 9, low), auc(high - 9, low)) == (1.0, 0.0)


@pytest.mark.parametrize("layer", range(4))
def test_the_gate_is_at_the_layer_that_tells_the_groups_apart(layer):
    """Its direction is theirs, of length 1; its threshold lies between them."""
    gate = fit_gate(states_of(apart_at=layer), HARMFUL, HELD_OUT)

    assert gate.layer == layer
    assert np.linalg.norm(gate.direction) == pytest.approx(1, abs=1e-6)
    assert gate.direction[0] > 0.9
    assert 1 < gate.threshold < 3
    assert gate.auc > 0.95


def test_the_threshold_is_the_middle_of_the_projected_means():
    """Of the prompts that are not held out."""
    states = states_of()
    gate = fit_gate(states, HARMFUL, HELD_OUT)
    own = states[~HELD_OUT, gate.layer] @ gate.direction
    kinds = HARMFUL[~HELD_OUT]

    assert gate.threshold == pytest.approx((own[kinds].mean() + own[~kinds].mean()) / 2, abs=1e-5)


def test_held_out_prompts_decide_nothing_but_the_auc():
    """Whatever they are, layer, direction and threshold stay; the AUC is that of the gate on them."""
    states = states_of()
    other = states.copy()
    other[HELD_OUT] = states_of(apart_at=0, apart_by=-9, seed=5)[HELD_OUT]
    one, two = (fit_gate(each, HARMFUL, HELD_OUT) for each in (states, other))

    assert (one.layer, one.threshold) == (two.layer, two.threshold)
    assert (one.direction == two.direction).all()
    values = np.array([two.value(prompt) for prompt in other[HELD_OUT]])
    kinds = HARMFUL[HELD_OUT]
    assert two.auc == pytest.approx(auc(values[kinds], values[~kinds]))
    assert two.auc < one.auc


def test_noise_has_no_good_gate():
    """The layer is chosen by prompts that its direction was not made from: the AUC is near chance."""
    found = [fit_gate(states_of(apart_by=0, seed=seed), HARMFUL, HELD_OUT).auc for seed in range(30)]

    assert abs(np.mean(found) - 0.5) < 0.08


def test_a_far_layer_wins_over_a_noisy_one_that_looks_perfect():
    """Of layers that tell all prompts apart, the one with the largest distance in standard deviations."""
    states = states_of(apart_by=30)
    states[HARMFUL, 3, 1] += 300
    states[:, 3] *= 100

    assert fit_gate(states, HARMFUL, HELD_OUT).layer == 3
    states[:, 3] /= 100
    states[HARMFUL, 3, 1] -= 290
    assert fit_gate(states, HARMFUL, HELD_OUT).layer == 2


def test_the_gate_opens_above_its_threshold():
    """By the sign of the value, which is the projection minus the threshold."""
    states = states_of()
    gate = fit_gate(states, HARMFUL, HELD_OUT)
    right = [gate.opens(prompt) == kind for prompt, kind in zip(states, HARMFUL, strict=True)]

    assert np.mean(right) > 0.9
    assert gate.value(states[0]) == pytest.approx(
        float(states[0, gate.layer] @ gate.direction) - gate.threshold, abs=1e-5
    )


@pytest.mark.parametrize(("n", "layers"), [(2, [1]), (3, [1]), (6, [2, 3]), (18, [6, 7, 8, 9, 10, 11])])
def test_the_middle_third_leaves_layer_0_out(n, layers):
    """llama.cpp cannot steer it; there is always at least one layer."""
    assert list(middle_third(n)) == layers
