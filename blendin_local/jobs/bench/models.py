"""One model alone: prompts, single tokens, several tokens at once.

Here: `measure_model`.
Not here: the pair (`methods`), answers made together (`parallel`).
Everything goes through `engine.context`, as in an answer: prompts are read in its chunks, and every token
evaluated has its logits computed and read. Several tokens at once are measured as one each of several
conversations, and as a draft in one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

from blendin_local.core.candidates import TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.engine.context import Context
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.model import Model
from blendin_local.engine.sequence import TokenSequence
from blendin_local.engine.trial_load import require_loadable
from blendin_local.engine.vocabulary import Span
from blendin_local.jobs.bench.drafts import draft_costs
from blendin_local.jobs.bench.report import Measurement, ModelMeasurements, Workload
from blendin_local.models.store import Store
from blendin_local.settings import BlendSettings, ModelSettings

TEXT = (
    "A river begins somewhere in the hills, as water that has nowhere else to go. It takes the easiest way, "
    "and after a few thousand years that way is a valley. People settle there because the ground is good, "
    "build a bridge, then a market, then a wall, and forget that the river was there first. "
)
SEQUENCE_TOKENS = 64


@dataclass
class _Trials:
    """What is collected over rounds."""

    prefill: list[float] = field(default_factory=list)
    decode: dict[int, list[float]] = field(default_factory=dict)
    at_once: dict[int, list[float]] = field(default_factory=dict)
    list_ms: list[float] = field(default_factory=list)
    draft_cost: dict[int, list[float]] = field(default_factory=dict)


def measure_model(
    path: Path,
    settings: ModelSettings,
    workload: Workload,
    counts: Sequence[int],
    on_round: Callable[[int], None],
) -> ModelMeasurements:
    """Load a model, measure it, free it.

    Args:
        path: Its file.
        settings: How it is run.
        workload: Sizes of the measurements.
        counts: Numbers of threads in ascending order.
        on_round: Called with the number of each round that begins.
    """
    store, header = Store.default(), read_header(path)
    require_loadable([(header, settings)], store.trial_cache)
    model = Model(path, settings, entry=store.vocabularies.entry(header))
    try:
        trials = _measure(model, workload, counts, on_round)
    finally:
        model.close()
    return ModelMeasurements(
        path.name,
        prefill=Measurement(tuple(trials.prefill)),
        decode={n: Measurement(tuple(speeds)) for n, speeds in trials.decode.items()},
        at_once={n: Measurement(tuple(costs)) for n, costs in trials.at_once.items()},
        list_ms=Measurement(tuple(trials.list_ms)),
        draft_cost={n: Measurement(tuple(costs)) for n, costs in trials.draft_cost.items()},
    )


def _measure(
    model: Model, workload: Workload, counts: Sequence[int], on_round: Callable[[int], None]
) -> _Trials:
    max_threads = counts[-1]
    ids = _tokens(model, _n_tokens(workload, len(counts)))
    solo = Context(model, len(ids), max_threads)
    several = Context(model, SEQUENCE_TOKENS, max_threads, max(workload.at_once))
    table = model.vocabulary.token_table
    trials = _Trials()
    try:
        _read_prompt(solo, ids[:16])  # the first evaluation of a process finds its pages missing
        for i in range(workload.rounds):
            on_round(i)
            begin = i + 1  # another first token, so that nothing of the last prompt is kept
            trials.prefill.append(_read_prompt(solo, ids[begin : begin + workload.prompt_tokens]))
            for n in counts if i % 2 else reversed(counts):
                solo.use_threads(n)
                speed = _decode_one_by_one(solo, ids[: workload.decode_tokens])
                trials.decode.setdefault(n, []).append(speed)
            solo.use_threads(max_threads)
            trials.list_ms.append(_list_ms(solo, table))
            for n, cost in draft_costs(solo, workload.at_once, ids[: workload.calls]).items():
                trials.draft_cost.setdefault(n, []).append(cost)
            for n, cost in _costs(several, ids, workload).items():
                trials.at_once.setdefault(n, []).append(cost)
    finally:
        several.close()
        solo.close()
    return trials


def _n_tokens(workload: Workload, n_counts: int) -> int:
    """The longest that a conversation becomes in one round."""
    drafts = workload.calls * len(workload.at_once) + max(workload.at_once)
    return workload.prompt_tokens + workload.decode_tokens * n_counts + drafts + workload.rounds + 2


def _tokens(model: Model, n: int) -> list[int]:
    ids = model.vocabulary.tokenize_prompt([Span(TEXT, trusted=False)])
    return (ids * (n // len(ids) + 1))[:n]


def _read_prompt(context: Context, ids: list[int]) -> float:
    """Tokens/s of a whole prompt."""
    [sequence] = context.sequences
    sequence.begin(ids)
    started = perf_counter()
    context.predict([sequence])
    return len(ids) / (perf_counter() - started)


def _decode_one_by_one(context: Context, ids: list[int]) -> float:
    """Tokens/s one by one."""
    started = perf_counter()
    for token in ids:
        _append(context.sequences, token)
        context.predict(context.sequences)
    return len(ids) / (perf_counter() - started)


def _append(sequences: Sequence[TokenSequence], token: int) -> None:
    for sequence in sequences:
        sequence.accept(token, b"-")


def _list_ms(context: Context, table: TokenTable, repeats: int = 5) -> float:
    """Milliseconds from a prediction to its candidate list."""
    times = []
    for _ in range(repeats):
        [logits] = context.predict(context.sequences)
        prediction = Prediction(logits, table, BlendSettings().top_k)
        started = perf_counter()
        _ = prediction.candidates
        times.append((perf_counter() - started) * 1000)
    return median(times)


def _costs(context: Context, ids: list[int], workload: Workload) -> dict[int, float]:
    """Time of one evaluation of n tokens beside that of one token."""
    for sequence in context.sequences:
        sequence.begin([ids[sequence.seq_id]])
    seconds = {n: _seconds(context, context.sequences[:n], ids[: workload.calls]) for n in workload.at_once}
    return {n: taken / seconds[workload.at_once[0]] for n, taken in seconds.items()}


def _seconds(context: Context, sequences: Sequence[TokenSequence], ids: list[int]) -> float:
    """Seconds of one evaluation that adds one token to each sequence: the median of a few."""
    context.predict(sequences)
    times = []
    for token in ids:
        _append(sequences, token)
        started = perf_counter()
        context.predict(sequences)
        times.append(perf_counter() - started)
    return median(times)
