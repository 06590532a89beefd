"""How far both models' confidence can be trusted, on a text that neither wrote.

Here: `calibrate`: reliability, calibration error and a fitted temperature for each model, over all positions
of a text and over those where the base is uncertain.
Not here: the formulas (`core.calibration`), the text itself (`jobs.check.built_in_texts`).
A position is shared where a token of both models begins at the same byte; only there can the guide be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Protocol

import numpy as np

from blendin_local.core.calibration import (
    CalibrationData,
    ReliabilityBin,
    TemperatureFit,
    chance_calibration_error,
    expected_calibration_error,
    fit_temperature,
    reliability_bins,
)
from blendin_local.core.methods import Role
from blendin_local.core.token_scores import TokenScore
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import ContextFullError


class TextReader(Protocol):
    """What is needed of a pair."""

    def read(
        self,
        role: Role,
        prompt: Sequence[Span] | str,
        *,
        temperature_profile: bool,
        should_stop: Callable[[], bool],
    ) -> Iterator[TokenScore]:
        """Every token of a text with what the model predicted."""
        ...


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidence beside accuracy, over some positions of a text.

    Attributes:
        positions: How many.
        accuracy: The share at which the likeliest token was right.
        confidence: Mean probability of the likeliest token.
        error: Expected calibration error.
        chance: What that error would be for a perfectly calibrated model on as many positions.
        error_tempered: The error at the fitted temperature.
        bins: The reliability diagram.
    """

    positions: int
    accuracy: float
    confidence: float
    error: float
    chance: float
    error_tempered: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class RoleCalibration:
    """One model on the reference text.

    Attributes:
        fit: Its temperature, fitted on all positions.
        bits_per_byte: Negative log-likelihood of the text; comparable across vocabularies.
        everywhere: Over all positions.
        uncertain: Over positions where the base is below the threshold, for the guide those of them where a
            token of its own begins; None if there are none.
    """

    fit: TemperatureFit
    bits_per_byte: float
    everywhere: Calibration
    uncertain: Calibration | None


def calibrate(
    pair: TextReader,
    passages: Sequence[str],
    threshold: float,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    on_passage: Callable[[int], None] = lambda _: None,
) -> Mapping[Role, RoleCalibration]:
    """Have both models read a text.

    Args:
        pair: With both models.
        passages: Parts of the text, each read on its own; one that does not fit into a context is left out.
        threshold: The paper's tau.
        should_stop: Polled during evaluations.
        on_passage: Called after each passage with the number that were read.

    Returns:
        What each model showed; empty if no passage fits.

    Raises:
        StoppedError: `should_stop` became true.
    """
    roles: tuple[Role, ...] = ("base", "guide")
    scores: dict[Role, list[TokenScore]] = {role: [] for role in roles}
    uncertain: dict[Role, list[bool]] = {role: [] for role in roles}
    for i, passage in enumerate(passages, 1):
        try:
            read = {
                role: list(pair.read(role, passage, temperature_profile=True, should_stop=should_stop))
                for role in roles
            }
        except ContextFullError:
            continue
        starts = {score.start for score in read["base"] if score.top_p < threshold}
        for role in roles:
            scores[role] += read[role]
            uncertain[role] += [score.start in starts for score in read[role]]
        on_passage(i)
    return {role: found for role in roles if (found := _role_calibration(scores[role], uncertain[role]))}


def _role_calibration(scores: Sequence[TokenScore], uncertain: Sequence[bool]) -> RoleCalibration | None:
    data = CalibrationData.of(scores)
    fit = fit_temperature(data)
    if fit is None:
        return None
    chosen = np.array(uncertain, dtype=bool)
    size = sum(len(score.token_bytes) for score in scores)
    return RoleCalibration(
        fit=fit,
        bits_per_byte=-sum(score.logprob for score in scores) / log(2) / max(1, size),
        everywhere=calibration_of(data, fit.temperature),
        uncertain=calibration_of(data.where(chosen), fit.temperature) if chosen.any() else None,
    )


def calibration_of(data: CalibrationData, temperature: float) -> Calibration:
    """Confidence beside accuracy, over at least one position."""
    confidence, tempered = data.confidence(), data.confidence(temperature)
    bins = reliability_bins(confidence, data.hits)
    return Calibration(
        positions=len(data),
        accuracy=float(data.hits.mean()),
        confidence=float(confidence.mean()),
        error=expected_calibration_error(bins),
        chance=chance_calibration_error(bins),
        error_tempered=expected_calibration_error(reliability_bins(tempered, data.hits)),
        bins=tuple(bins),
    )
