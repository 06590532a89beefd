"""What a benchmark measured, as values and as JSON.

Here: `Workload`, how much is measured; `Measurement`; `BenchReport` with its parts and its JSON.
Not here: how they are measured (`models`, `methods`, `drafts`, `parallel`), what they mean (`verdict`), how
they look (`views.bench`).
Every measurement keeps its trials, so that another run can be held against all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from statistics import median
from typing import Any

VERSION = 1
NEW_NAMES = {"beside_one": "speedup"}  # of measurements in records of earlier versions


@dataclass(frozen=True)
class Workload:
    """How much is measured.

    Attributes:
        rounds: Trials of everything.
        prompt_tokens: Length of the prompt read by one model alone.
        decode_tokens: Tokens read one by one after it, for each count of threads.
        at_once: Numbers of tokens that are evaluated together, for the curve of costs; begins with 1.
        calls: Evaluations of each of these numbers per trial.
        answer_tokens: Steps of one guided answer.
        parallel: Numbers of answers that are made together; begins with 1.
        row_tokens: Steps of each of those.
    """

    rounds: int = 3
    prompt_tokens: int = 256
    decode_tokens: int = 24
    at_once: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 16)
    calls: int = 4
    answer_tokens: int = 48
    parallel: tuple[int, ...] = (1, 2, 4, 8, 16)
    row_tokens: int = 24


@dataclass(frozen=True)
class Measurement:
    """One quantity, measured several times."""

    trials: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle trial; 0 if there is none."""
        return median(self.trials) if self.trials else 0.0

    @property
    def spread(self) -> float:
        """Half the distance between the largest and the smallest trial, as a share of the median."""
        return (max(self.trials) - min(self.trials)) / 2 / self.median if self.median else 0.0

    def to_json(self) -> dict[str, Any]:
        """The median for readers, the trials for comparisons."""
        return {"median": self.median, "spread": self.spread, "trials": list(self.trials)}


def ratio(over: Measurement, under: Measurement) -> Measurement:
    """Trial by trial, as both were measured in the same round."""
    return Measurement(tuple(a / b for a, b in zip(over.trials, under.trials, strict=True)))


@dataclass(frozen=True)
class ModelMeasurements:
    """One model alone.

    Attributes:
        file: Its name.
        prefill: Tokens/s of a prompt, on all threads.
        decode: Tokens/s one by one, for each count of threads.
        at_once: By number of tokens evaluated together, the time relative to one token.
        list_ms: Milliseconds of making one candidate list.
        draft_cost: As `at_once`, of tokens of one answer, as a draft is evaluated; empty where the model's
            memory allows no drafts.
    """

    file: str
    prefill: Measurement
    decode: Mapping[int, Measurement]
    at_once: Mapping[int, Measurement]
    list_ms: Measurement
    draft_cost: Mapping[int, Measurement] = field(default_factory=dict)


@dataclass(frozen=True)
class MethodMeasurements:
    """The pair at one method.

    Attributes:
        tokens_per_s: Steps per second, prompts aside.
        first_token_ms: From the question to the first step.
        asked: Asked steps over all steps.
        guide_tokens: Tokens the guide evaluated per step, prompts aside.
        in_llama: Share of the time inside `llama_decode`.
        in_lists: Share of the time making candidate lists, from their number and `ModelMeasurements.list_ms`.
        in_python: What is left.
    """

    tokens_per_s: Measurement
    first_token_ms: Measurement
    asked: Measurement
    guide_tokens: Measurement
    in_llama: Measurement
    in_lists: Measurement
    in_python: Measurement


@dataclass(frozen=True)
class ParallelMeasurements:
    """Several answers made together.

    Attributes:
        tokens_per_s: Steps per second over all answers, prompts counted in.
        speedup: The same over that of one answer at a time.
    """

    tokens_per_s: Measurement
    speedup: Measurement


@dataclass(frozen=True)
class PredictedSpeed:
    """What the formula of `core.drafting` says of a guide, in speeds relative to the base alone.

    Attributes:
        guide_cost: What a token costs the guide, over what it costs the base.
        without: Speed without drafts.
        drafts: Speed with drafts of the best length.
        length: That length in tokens; 0 where no draft pays.
    """

    guide_cost: Measurement
    without: Measurement
    drafts: Measurement
    length: Measurement


@dataclass(frozen=True)
class DraftMeasurements:
    """What drafts bring.

    Attributes:
        off: Steps per second without drafts, prompts aside.
        auto: The same with drafts where they are expected to pay.
        gain: `auto` over `off`.
        drafted: Tokens drafted per step with `auto`.
        accepted: Those of them that came true, per step.
        came_true: Share of the steps that the guide would have guessed.
        predicted: By guide: `this_guide`, and `a_tenth`, one of a tenth of the base's cost that is otherwise
            like it.
    """

    off: Measurement
    auto: Measurement
    gain: Measurement
    drafted: Measurement
    accepted: Measurement
    came_true: Measurement
    predicted: Mapping[str, PredictedSpeed]


@dataclass(frozen=True)
class BenchReport:
    """One benchmark of one pair on one machine.

    Attributes:
        pair: Its name, or the files.
        machine: Processor, cores, threads.
        versions: Of the program and its libraries.
        workload: How much was measured.
        models: Each model alone, by role.
        methods: The pair, by method.
        rows: Answers made together, by their number.
        load_s: Seconds to load the pair.
        memory: Bytes: `weights`, `kv_cache`, `compute` as estimated, `resident`, and `ours`: the rest of it.
        cores_left: Cores that other programs left on average; None if the system does not on_round.
        seconds: How long it all took.
        verdict: What it means, in one line.
        drafts: What drafts bring; None where there are not both models.
    """

    pair: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    workload: Workload
    models: Mapping[str, ModelMeasurements]
    methods: Mapping[str, MethodMeasurements]
    rows: Mapping[int, ParallelMeasurements]
    load_s: Measurement
    memory: Mapping[str, int]
    cores_left: float | None
    seconds: float
    verdict: str = field(default="")
    drafts: DraftMeasurements | None = None

    def to_json(self) -> dict[str, Any]:
        """Names and plain values; keys of mappings become strings.

        Names of earlier versions (`sizes`, `beside_one`) are there as well, for one release.
        """
        record: dict[str, Any] = {"version": VERSION, **_plain(self)}
        for row in record["rows"].values():
            row["beside_one"] = row["speedup"]
        return {**record, "sizes": record["workload"]}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of the record
    if isinstance(value, Measurement):
        return value.to_json()
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return value


def measurements_in(
    record: Mapping[str, Any], path: tuple[str, ...] = ()
) -> dict[tuple[str, ...], Measurement]:
    """Every measurement of a record's JSON, by the keys that lead to it; old names read as their new ones."""
    found: dict[tuple[str, ...], Measurement] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            here = (*path, NEW_NAMES.get(key, key))
            if isinstance(value.get("trials"), list):
                found[here] = Measurement(tuple(float(trial) for trial in value["trials"]))
            else:
                found |= measurements_in(value, here)
    return found
