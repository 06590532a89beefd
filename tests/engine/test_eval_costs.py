"""What evaluations cost: medians of what was measured, and careful estimates between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.engine.eval_costs import KEPT, STALE, EvalCosts


def costs_of(**seconds):
    costs = EvalCosts()
    for n, each in seconds.items():
        costs.note(int(n[1:]), each)
    return costs


def test_nothing_is_known_at_first():
    """Before the first evaluation every cost is 0, and nothing was measured."""
    assert (EvalCosts().seconds(3), EvalCosts().longest, EvalCosts().n_measured(1)) == (0.0, 0, 0)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=30))
def test_a_measured_cost_is_the_median_of_the_last(seconds):
    """One outlier changes nothing, and a change that lasts does."""
    costs = EvalCosts()
    for each in seconds:
        costs.note(1, each)
        costs.seconds(1)

    last = sorted(seconds[-KEPT:])
    assert costs.seconds(1) == last[len(last) // 2]
    assert costs.n_measured(1) == len(last)


def test_between_measured_sizes_the_cost_is_on_a_line():
    """Also where more tokens cost less."""
    costs = costs_of(n2=2.0, n6=4.0, n8=3.0)

    assert costs.seconds(4) == pytest.approx(3.0)
    assert costs.seconds(7) == pytest.approx(3.5)
    assert costs.seconds(1) == 2.0


def test_above_the_largest_a_token_costs_what_one_of_a_prompt_does():
    """The least it can be; with no prompt read yet, nothing."""
    costs = costs_of(n1=1.0)
    assert costs.seconds(5) == 1.0

    costs.note_prefill(128, 32.0)
    costs.note_prefill(64, 64.0)
    costs.note_prefill(2, 0.001)

    assert costs.seconds(5) == pytest.approx(2.0)
    assert costs.longest == 1


def test_above_two_measured_sizes_their_line_goes_on():
    """It never gets cheaper than a token of a prompt."""
    costs = costs_of(n1=1.0, n2=1.75)
    assert costs.seconds(4) == pytest.approx(3.25)

    costs.note(4, 1.75)
    costs.note_prefill(100, 20.0)

    assert costs.seconds(6) == pytest.approx(1.75 + 2 * 0.2)


def test_what_was_measured_long_ago_is_tried_again():
    """A size that was slow once, under another load, does not stay slow for ever; one in use does."""
    costs = costs_of(n1=1.0, n2=50.0)
    for _ in range(2 * STALE):
        costs.note(1, 1.0)

    assert costs.seconds(2) == 1.0
    assert costs.n_measured(2) == 0
    assert costs.longest == 2
