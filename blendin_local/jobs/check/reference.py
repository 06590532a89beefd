"""How far both models' confidence can be trusted, on a text that neither wrote.

Here: `calibrate`: reliability, calibration error and a fitted temperature for each model, over all places
of a text and over those where the base is uncertain.
Not here: the formulas (`core.calibration`), the text itself (`jobs.check.texts`).
A place is shared where a token of both models begins at the same byte; only there can the guide be asked.
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


class Reader(Protocol):
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
    """Confidence against truth over some places.

    Attributes:
        places: How many.
        accuracy: The share at which the likeliest token was right.
        confidence: Mean probability of the likeliest token.
        error: Expected calibration error.
        chance: What that error would be for a perfectly calibrated model on as many places.
        error_tempered: The error at the fitted temperature.
        bins: The reliability diagram.
    """

    places: int
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
        fit: Its temperature, fitted on all places.
        bits_per_byte: Negative log-likelihood of the text; comparable across vocabularies.
        everywhere: Over all places.
        uncertain: Over places where the base is below the threshold, for the guide those of them where a
            token of its own begins; None where there are none.
    """

    fit: TemperatureFit
    bits_per_byte: float
    everywhere: Calibration
    uncertain: Calibration | None


def calibrate(
    pair: Reader,
    passages: Sequence[str],
    threshold: float,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    listen: Callable[[int], None] = lambda _: None,
) -> Mapping[Role, RoleCalibration]:
    """Have both models read a text.

    Args:
        pair: With both models.
        passages: Parts of the text, each read on its own; one that does not fit into a context is left out.
        threshold: The paper's tau.
        should_stop: Polled during evaluations.
        listen: Is told after each passage how many are read.

    Returns:
        What each model showed; empty where no passage fits.

    Raises:
        StoppedError: `should_stop` became true.
    """
    roles: tuple[Role, ...] = ("base", "guide")
    places: dict[Role, list[TokenScore]] = {role: [] for role in roles}
    unsure: dict[Role, list[bool]] = {role: [] for role in roles}
    for i, passage in enumerate(passages, 1):
        try:
            read = {
                role: list(pair.read(role, passage, temperature_profile=True, should_stop=should_stop))
                for role in roles
            }
        except ContextFullError:
            continue
        doubtful = {place.start for place in read["base"] if place.top_p < threshold}
        for role in roles:
            places[role] += read[role]
            unsure[role] += [place.start in doubtful for place in read[role]]
        listen(i)
    return {role: found for role in roles if (found := _calibration_of(places[role], unsure[role]))}


def _calibration_of(places: Sequence[TokenScore], unsure: Sequence[bool]) -> RoleCalibration | None:
    readings = CalibrationData.of(places)
    fit = fit_temperature(readings)
    if fit is None:
        return None
    chosen = np.array(unsure, dtype=bool)
    size = sum(len(place.token_bytes) for place in places)
    return RoleCalibration(
        fit=fit,
        bits_per_byte=-sum(place.logprob for place in places) / log(2) / max(1, size),
        everywhere=summarize(readings, fit.temperature),
        uncertain=summarize(readings.where(chosen), fit.temperature) if chosen.any() else None,
    )


def summarize(readings: CalibrationData, temperature: float) -> Calibration:
    """Confidence against truth over at least one place."""
    confidence, tempered = readings.confidence(), readings.confidence(temperature)
    bins = reliability_bins(confidence, readings.hits)
    return Calibration(
        places=len(readings),
        accuracy=float(readings.hits.mean()),
        confidence=float(confidence.mean()),
        error=expected_calibration_error(bins),
        chance=chance_calibration_error(bins),
        error_tempered=expected_calibration_error(reliability_bins(tempered, readings.hits)),
        bins=tuple(bins),
    )
