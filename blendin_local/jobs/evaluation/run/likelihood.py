"""Options read by log-likelihood, without an answer being written: for a base and a guide alone.

Here: `read_options`, which keeps what it reads, and `reading_verdict`, what a reading is worth.
Not here: the log-likelihoods (`Pair.option_logprobs`), what they say about options (`scorers.likelihood`).
The prompt is the benchmark's own: system line and question. Option texts are read after the question alone,
letters after the question with its lettered options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from blendin_local.core.methods import Role
from blendin_local.core.prompts import Message
from blendin_local.errors import ContextFullError
from blendin_local.jobs.batch.jsonl_file import AppendOnlyFile, read_back
from blendin_local.jobs.evaluation.dataset.items import Benchmark, Item, Verdict
from blendin_local.jobs.evaluation.scorers.likelihood import best, likelihood_texts, likelihood_verdict

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FIGURES: Mapping[str, tuple[str, ...]] = {
    "text": ("acc_norm", "acc", "letter"),
    "mc": ("mc1", "mc2", "letter"),
}


class Scored(Protocol):
    """Log P(option | prompt) and the option's length."""

    @property
    def logprob(self) -> float:
        """In nats."""
        ...

    @property
    def n_bytes(self) -> int:
        """UTF-8 bytes."""
        ...


class OptionReader(Protocol):
    """What can read options."""

    def option_logprobs(
        self,
        role: Role,
        messages: Sequence[Message],
        options: Sequence[str],
        should_stop: Callable[[], bool] = ...,
    ) -> Sequence[Scored]:
        """The log-likelihood of each option as the answer to a conversation."""
        ...


def read_options(
    reader: OptionReader,
    role: Role,
    benchmark: Benchmark,
    items: Iterable[Item],
    path: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Read what is not read yet, a line an item.

    Args:
        reader: The pair.
        role: Whose likelihoods.
        benchmark: Says how options are read.
        items: The questions.
        path: The file of readings; what it holds is not read again.
        should_stop: Polled between items.

    Returns:
        Whether all of it is read.
    """
    done: set[str] = set()
    with AppendOnlyFile.locked(path) as file:
        file.read(lambda line: done.add(line["custom_id"]))
        for item in items:
            if should_stop():
                return False
            if item.key not in done:
                file.append({"custom_id": item.key, **_reading(reader, role, benchmark, item)})
        file.verify()
    return True


def _reading(reader: OptionReader, role: Role, benchmark: Benchmark, item: Item) -> dict[str, Any]:
    system = [Message("system", benchmark.system)] if benchmark.system else []
    plain = [*system, Message("user", item.reference["question"])]
    lettered = [*system, Message("user", item.prompt)]
    try:
        texts = reader.option_logprobs(role, plain, likelihood_texts(benchmark, item))
        letters = reader.option_logprobs(role, lettered, list(LETTERS[: len(item.options)]))
    except ContextFullError as error:
        return {"error": error.message}
    return {
        "texts": [[score.logprob, score.n_bytes] for score in texts],
        "letters": [score.logprob for score in letters],
    }


def read_readings(path: Path) -> dict[str, Mapping[str, Any]]:
    """The readings of a file by item; none where it is not there."""
    found: dict[str, Mapping[str, Any]] = {}

    def take(line: Mapping[str, Any]) -> None:
        found[line["custom_id"]] = line

    read_back(path, take)
    return found


def reading_verdict(benchmark: Benchmark, item: Item, line: Mapping[str, Any]) -> Verdict:
    """What a reading is worth; one that failed is wrong in every figure.

    Beside the figures of `scorers.likelihood`: `letter`, whether the right letter is the likeliest after the
    lettered question; `parsed` is the letter that was.
    """
    if "error" in line:
        return Verdict(dict.fromkeys(FIGURES[benchmark.likelihood], 0.0), None)
    logprobs, n_bytes = zip(*line["texts"], strict=True)
    letter = best(line["letters"])
    scores = likelihood_verdict(benchmark, item, logprobs, n_bytes).scores
    return Verdict({**scores, "letter": float(letter == item.gold)}, LETTERS[letter])
