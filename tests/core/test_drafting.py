"""Whether a draft pays: the expected time per token, its minimum, and rates that learn."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.drafting import AcceptanceRates, Plan, expected_accepted
from blendin_local.core.ngrams import MAX_MATCH, MIN_MATCH, continuation

RATES = st.lists(st.floats(0, 1), max_size=8)
COSTS = st.lists(st.floats(0.1, 10), min_size=20, max_size=20)


@given(RATES)
def test_expected_accepted_is_the_mean_over_all_outcomes(rates):
    """By brute force: every pattern of guesses that are right or wrong, counted up to the first wrong one."""
    mean = 0.0
    for outcome in itertools.product((True, False), repeat=len(rates)):
        p = 1.0
        for right, rate in zip(outcome, rates, strict=True):
            p *= rate if right else 1 - rate
        mean += p * len(list(itertools.takewhile(bool, outcome)))

    assert expected_accepted(rates) == pytest.approx(mean)


def test_the_time_per_token_is_what_a_simulation_takes():
    """Rounds of an answer are played with random outcomes; the guide is asked once per draft."""
    rates, rng = [0.9, 0.8, 0.7], random.Random(3)
    spent = tokens = 0.0
    for _ in range(50_000):
        accepted = next((i for i, rate in enumerate(rates) if rng.random() > rate), len(rates))
        spent += 2.0 + 3 * 0.25 + 0.1
        tokens += 1 + accepted
    plan = Plan(lambda n: n / 2, guess_s=0.25, asked_s=0.1, reads_along=True)

    assert plan.seconds_per_token(rates) == pytest.approx(spent / tokens, rel=0.01)


PLANS = st.builds(
    Plan,
    COSTS.map(lambda costs: costs.__getitem__),
    st.integers(1, 4),
    st.floats(0, 2),
    st.floats(0, 2),
    st.booleans(),
)


@given(PLANS, RATES, st.integers(0, 3))
def test_the_best_length_is_the_best(plan, rates, at_least):
    """No other length that is allowed takes less time per token."""
    best = plan.best_length(rates, at_least)

    lengths = range(min(at_least, len(rates)), len(rates) + 1)
    assert best in lengths
    least = min(plan.seconds_per_token(rates[:k]) for k in lengths)
    assert plan.seconds_per_token(rates[:best]) == pytest.approx(least)


@given(PLANS, st.integers(0, 8), st.floats(0, 5))
def test_a_failed_draft_costs_no_more_than_is_allowed(plan, k, seconds):
    """The longest such draft: any longer one would cost more."""
    found = plan.longest_within(seconds, k)

    def lost(n):
        return plan.seconds(plan.n_together + n) - plan.seconds(plan.n_together) + n * plan.guess_s

    assert found == 0 or lost(found) <= seconds
    assert all(lost(n) > seconds for n in range(found + 1, k + 1))


def test_guesses_that_never_come_true_are_not_made():
    """And of those that always do, as many as there are, where more tokens cost no more."""
    flat = Plan(lambda _: 1.0)

    assert Plan(lambda n: 1 + 0.1 * n).best_length([0.0] * 5) == 0
    assert flat.best_length([1.0] * 5) == 5


@pytest.mark.parametrize(("source", "sureness"), [("guide", 0.97), ("guide", 0.1), ("ngram", 30)])
def test_rates_follow_what_was_seen(source, sureness):
    """After many guesses of a kind its rate is their share, and that of other kinds is as before."""
    rates, rng = AcceptanceRates(), random.Random(1)
    other = ("ngram", 13) if source == "guide" else ("guide", 0.6)
    before = rates.rate(*other)
    for _ in range(600):
        rates.note(source, sureness, accepted=rng.random() < 0.3)

    assert rates.rate(source, sureness) == pytest.approx(0.3, abs=0.12)
    assert rates.rate(*other) == before
    assert all(rates.rate("guide", p) <= rates.best("guide") for p in (0.1, 0.6, 0.97, 0.999))


def test_the_mean_is_over_all_guesses_that_were_made():
    """Guesses that are too unsure to be evaluated count too: less is expected of the next."""
    rates, rng = AcceptanceRates(), random.Random(1)
    for _ in range(600):
        sure = rng.random() < 0.5
        rates.made("guide", 0.999 if sure else 0.1)
        if sure:
            rates.note("guide", 0.999, accepted=True)

    assert rates.mean("guide") == pytest.approx((1 + rates.rate("guide", 0.1)) / 2, abs=0.1)


def test_guesses_that_were_made_are_paid_for():
    """Dropping them saves nothing of the guide's time, so more of them are kept."""
    plan = Plan(lambda n: 1 + 0.3 * (n - 1), guess_s=0.5, reads_along=True)
    rates = [0.7, 0.5]

    assert plan.best_length(rates) == 0
    assert plan.best_length(rates, n_made=2) == 2


def test_rates_forget():
    """What was seen long ago counts little beside what was seen lately."""
    rates = AcceptanceRates()
    for accepted in [True] * 1000 + [False] * 300:
        rates.note("guide", 0.97, accepted=accepted)

    assert rates.rate("guide", 0.97) < 0.1


@given(st.binary(max_size=60), st.integers(1, 30))
def test_a_text_goes_on_as_it_did_before(text, n):
    """The continuation stands after an earlier place whose last bytes are the text's; by brute force."""
    text = text + text[: len(text) // 2]

    following, agreeing = continuation(text, n)

    end = text[-MIN_MATCH:]
    places = [i for i in range(MIN_MATCH, len(text)) if text[i - MIN_MATCH : i] == end]
    if len(end) < MIN_MATCH or not places:
        assert (following, agreeing) == (b"", 0)
        return
    at = places[-1]
    assert following == (text[at:] * n)[:n]
    longest = max(m for m in range(1, MAX_MATCH + 1) if m <= at and text[at - m : at] == text[-m:])
    assert agreeing == longest
