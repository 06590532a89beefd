"""Laws of calibration: what is kept of the logits is enough, and a fit finds what was done to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.core.calibration import (
    N_BINS,
    CalibrationData,
    chance_calibration_error,
    expected_calibration_error,
    fit_temperature,
    reliability_bins,
)
from blendin_local.core.token_scores import INVERSE_TEMPERATURES, token_score


def draw(n, n_vocab=50, *, scale=3.0, factor=1.0, seed=0):
    """Rows of logits, and a token drawn from each row's softmax; then the rows are multiplied by `factor`."""
    rng = np.random.default_rng(seed)
    rows = (rng.normal(size=(n, n_vocab)) * scale).astype(np.float32)
    p = np.exp(rows - rows.max(axis=1, keepdims=True)).astype(float)
    p /= p.sum(axis=1, keepdims=True)
    tokens = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, n_vocab - 1)
    return rows * np.float32(factor), tokens


def readings(rows, tokens):
    return CalibrationData.of(
        token_score(row, int(t), 0, b"x", temperature_profile=True)
        for row, t in zip(rows, tokens, strict=True)
    )


def exact_confidence(rows, temperature):
    z = rows.astype(float) / temperature
    return 1 / np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)


def exact_loss(rows, tokens, temperature):
    z = rows.astype(float) / temperature
    log_sum = z.max(axis=1) + np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1))
    return float((log_sum - z[np.arange(len(z)), tokens]).mean())


@settings(deadline=None, max_examples=40)
@given(
    temperature=st.floats(0.32, 3.9),
    scale=st.floats(0.1, 8),
    n_vocab=st.integers(2, 3000),
    seed=st.integers(0, 99),
)
def test_a_few_numbers_stand_for_all_logits(temperature, scale, n_vocab, seed):
    """Confidence and loss at any temperature are those of the whole row of logits."""
    rows, tokens = draw(20, n_vocab, scale=scale, seed=seed)
    kept = readings(rows, tokens)

    assert kept.confidence(temperature) == pytest.approx(exact_confidence(rows, temperature), abs=2e-4)
    assert kept.loss(temperature) == pytest.approx(exact_loss(rows, tokens, temperature), abs=2e-4)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5, 2.5])
def test_a_known_factor_is_found_again(factor):
    """Logits multiplied by a factor are mended by the temperature of that factor, within its interval."""
    fit = fit_temperature(readings(*draw(4000, factor=factor)))

    assert fit.low < factor < fit.high
    assert fit.temperature == pytest.approx(factor, rel=0.06)
    assert not fit.at_edge


def test_no_other_temperature_has_a_smaller_loss():
    """The fitted temperature is the minimum of the exact loss, kept from all logits."""
    rows, tokens = draw(500, 200, factor=1.7, seed=3)
    fit = fit_temperature(readings(rows, tokens))

    best = exact_loss(rows, tokens, fit.temperature)
    assert fit.loss == pytest.approx(best, abs=1e-4)
    assert fit.loss_before == pytest.approx(exact_loss(rows, tokens, 1), abs=1e-4)
    for other in (0.5, 0.9, 0.98, 1.02, 1.1, 2):
        assert best < exact_loss(rows, tokens, other * fit.temperature)


@pytest.mark.slow
def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """Of 95 % intervals from 200 drawn texts, nearly all hold the true temperature, and not all."""
    held = 0
    for seed in range(200):
        fit = fit_temperature(readings(*draw(150, 20, factor=1.4, seed=seed)))
        held += fit.low < 1.4 < fit.high
    assert 0.90 <= held / 200 <= 0.99


@pytest.mark.slow
def test_a_calibrated_model_has_no_error_but_chance():
    """Where tokens are drawn from the model itself, the error is about what chance alone gives."""
    errors, chance = [], []
    for seed in range(20):
        kept = readings(*draw(2000, seed=seed))
        bins = reliability_bins(kept.confidence(), kept.hits)
        errors.append(expected_calibration_error(bins))
        chance.append(chance_calibration_error(bins))

    assert np.mean(errors) == pytest.approx(np.mean(chance), rel=0.15)
    assert max(errors) < 0.05


def test_an_overconfident_model_is_mended_by_its_temperature():
    """Sharpened logits have a large error; at the fitted temperature it is gone."""
    kept = readings(*draw(4000, factor=2.5))
    fit = fit_temperature(kept)
    before = expected_calibration_error(reliability_bins(kept.confidence(), kept.hits))
    after = expected_calibration_error(reliability_bins(kept.confidence(fit.temperature), kept.hits))

    assert before > 0.1
    assert after < 0.03


def test_the_error_of_a_worked_case():
    """Two bins by hand: half of the places 10 points too sure, half 30 points not sure enough."""
    confidence = np.array([0.6] * 10 + [0.2] * 10)
    hits = np.array([True] * 5 + [False] * 5 + [True] * 5 + [False] * 5)
    bins = reliability_bins(confidence, hits, 10)

    assert expected_calibration_error(bins) == pytest.approx(0.5 * 0.1 + 0.5 * 0.3)
    assert [b.count for b in bins if b.count] == [10, 10]
    assert sum(b.count for b in reliability_bins(np.array([0.0, 1.0]), hits[:2])) == 2
    assert len(bins) == 10 != N_BINS


def test_a_minimum_outside_the_range_is_said():
    """A model far too sure of itself gets the hottest temperature measured, and a mark."""
    fit = fit_temperature(readings(*draw(300, factor=30)))

    assert fit.at_edge
    assert fit.temperature == pytest.approx(1 / INVERSE_TEMPERATURES[0], rel=1e-6)
    assert fit_temperature(CalibrationData.of([])) is None


def test_some_places_can_be_taken_out():
    """A subset of places is read as if only they had been there."""
    rows, tokens = draw(30)
    chosen = np.arange(30) % 3 == 0

    some = readings(rows, tokens).where(chosen)

    assert some.loss(1.3) == pytest.approx(readings(rows[chosen], tokens[chosen]).loss(1.3))
