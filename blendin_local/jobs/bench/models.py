"""One model alone: prompts, single tokens, several tokens at once.

Here: `measure_model`.
Not here: the pair (`methods`), answers made together (`rows`).
Everything goes through `engine.context`, as in an answer: prompts are read in its portions, and every token
evaluated has its logits computed and read. Several tokens at once are one each of several conversations; the
cost of a draft of so many tokens is about the same.
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
from blendin_local.jobs.bench.record import Figure, ModelFigures, Sizes
from blendin_local.models.store import Store
from blendin_local.settings import BlendSettings, ModelSettings

TEXT = (
    "A river begins somewhere in the hills, as water that has nowhere else to go. It takes the easiest way, "
    "and after a few thousand years that way is a valley. People settle there because the ground is good, "
    "build a bridge, then a market, then a wall, and forget that the river was there first. "
)
LANE_TOKENS = 64


@dataclass
class _Trials:
    """What is collected over rounds."""

    prefill: list[float] = field(default_factory=list)
    decode: dict[int, list[float]] = field(default_factory=dict)
    at_once: dict[int, list[float]] = field(default_factory=dict)
    list_ms: list[float] = field(default_factory=list)


def measure_model(
    path: Path, settings: ModelSettings, sizes: Sizes, counts: Sequence[int], tell: Callable[[int], None]
) -> ModelFigures:
    """Load a model, measure it, free it.

    Args:
        path: Its file.
        settings: How it is run.
        sizes: How much is measured.
        counts: Counts of threads, the most last.
        tell: Is told the number of each round that begins.
    """
    require_loadable([(read_header(path), settings)], Store.default().trial_cache)
    model = Model(path, settings)
    try:
        trials = _measure(model, sizes, counts, tell)
    finally:
        model.close()
    return ModelFigures(
        path.name,
        prefill=Figure(tuple(trials.prefill)),
        decode={n: Figure(tuple(speeds)) for n, speeds in trials.decode.items()},
        at_once={n: Figure(tuple(costs)) for n, costs in trials.at_once.items()},
        list_ms=Figure(tuple(trials.list_ms)),
    )


def _measure(model: Model, sizes: Sizes, counts: Sequence[int], tell: Callable[[int], None]) -> _Trials:
    most = counts[-1]
    ids = _tokens(model, sizes.prompt_tokens + sizes.decode_tokens * len(counts) + sizes.rounds + 2)
    solo = Context(model, len(ids), most)
    scheduler = Context(model, LANE_TOKENS, most, max(sizes.at_once))
    vocabulary = model.vocabulary
    table = TokenTable.build(vocabulary.pieces, vocabulary.end_ids, vocabulary.fallback_ids)
    trials = _Trials()
    try:
        _read_prompt(solo, ids[:16])  # the first evaluation of a process finds its pages missing
        for i in range(sizes.rounds):
            tell(i)
            begin = i + 1  # another first token, so that nothing of the last prompt is kept
            trials.prefill.append(_read_prompt(solo, ids[begin : begin + sizes.prompt_tokens]))
            for n in counts if i % 2 else reversed(counts):
                solo.use_threads(n)
                speed = _read_on(solo, ids[: sizes.decode_tokens])
                trials.decode.setdefault(n, []).append(speed)
            solo.use_threads(most)
            trials.list_ms.append(_list_ms(solo, table))
            for n, cost in _costs(scheduler, ids, sizes).items():
                trials.at_once.setdefault(n, []).append(cost)
    finally:
        scheduler.close()
        solo.close()
    return trials


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


def _read_on(context: Context, ids: list[int]) -> float:
    """Tokens/s one by one."""
    started = perf_counter()
    for token in ids:
        _go_on(context.sequences, token)
        context.predict(context.sequences)
    return len(ids) / (perf_counter() - started)


def _go_on(sequences: Sequence[TokenSequence], token: int) -> None:
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


def _costs(context: Context, ids: list[int], sizes: Sizes) -> dict[int, float]:
    """Time of one evaluation of n tokens beside that of one token."""
    for sequence in context.sequences:
        sequence.begin([ids[sequence.seq_id]])
    seconds = {n: _seconds(context, context.sequences[:n], ids[: sizes.calls]) for n in sizes.at_once}
    return {n: taken / seconds[sizes.at_once[0]] for n, taken in seconds.items()}


def _seconds(context: Context, sequences: Sequence[TokenSequence], ids: list[int]) -> float:
    """Seconds of one evaluation in which each sequence goes on by a token: the median of a few."""
    context.predict(sequences)
    times = []
    for token in ids:
        _go_on(sequences, token)
        started = perf_counter()
        context.predict(sequences)
        times.append(perf_counter() - started)
    return median(times)
