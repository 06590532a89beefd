"""Options scored by log-likelihood, without generating an answer: the base alone and the guide alone.

Here: `score_options`, which stores the log-probabilities; `option_verdict`, the score of an item.
Not here: the log-probabilities (`Pair.option_logprobs`), their meaning for options (`scorers.likelihood`).
The prompt is the benchmark's own: system line and question. Option texts are scored after the question alone,
letters after the question with its lettered options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from blendin_local.core.methods import Role
from blendin_local.core.prompts import Message
from blendin_local.core.token_scores import OptionScore
from blendin_local.errors import ContextFullError
from blendin_local.jobs.batch.jsonl_file import AppendOnlyFile, read_back
from blendin_local.jobs.evaluation.scorers.choices import LETTERS
from blendin_local.jobs.evaluation.scorers.likelihood import best, likelihood_texts, likelihood_verdict
from blendin_local.jobs.scoring.items import Benchmark, Item, Verdict

FIGURES: Mapping[str, tuple[str, ...]] = {
    "text": ("acc_norm", "acc", "letter"),
    "mc": ("mc1", "mc2", "letter"),
}


class OptionScorer(Protocol):
    """What can score options: a pair."""

    def option_logprobs(
        self,
        role: Role,
        messages: Sequence[Message],
        options: Sequence[str],
        should_stop: Callable[[], bool] = ...,
    ) -> Sequence[OptionScore]:
        """The log-likelihood of each option as the answer to a conversation."""
        ...


def score_options(
    pair: OptionScorer,
    role: Role,
    benchmark: Benchmark,
    items: Iterable[Item],
    path: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Score the options of every item that the file does not hold yet, a line per item.

    Args:
        pair: Gives the log-probabilities.
        role: The model that scores.
        benchmark: Says how options are scored.
        items: The questions.
        path: The file of scores, one line per item.
        should_stop: Polled between items.

    Returns:
        Whether every item is scored.
    """
    done: set[str] = set()
    with AppendOnlyFile.locked(path) as file:
        file.read(lambda line: done.add(line["custom_id"]))
        for item in items:
            if should_stop():
                return False
            if item.key not in done:
                file.append({"custom_id": item.key, **_scores(pair, role, benchmark, item)})
        file.verify()
    return True


def _scores(pair: OptionScorer, role: Role, benchmark: Benchmark, item: Item) -> dict[str, Any]:
    system = [Message("system", benchmark.system)] if benchmark.system else []
    plain = [*system, Message("user", item.reference["question"])]
    lettered = [*system, Message("user", item.prompt)]
    try:
        texts = pair.option_logprobs(role, plain, likelihood_texts(benchmark, item))
        letters = pair.option_logprobs(role, lettered, list(LETTERS[: len(item.options)]))
    except ContextFullError as error:
        return {"error": error.message}
    return {
        "texts": [[score.logprob, score.n_bytes] for score in texts],
        "letters": [score.logprob for score in letters],
    }


def read_option_scores(path: Path) -> dict[str, Mapping[str, Any]]:
    """The option scores of a file by item; empty if there is no file."""
    found: dict[str, Mapping[str, Any]] = {}

    def take(line: Mapping[str, Any]) -> None:
        found[line["custom_id"]] = line

    read_back(path, take)
    return found


def option_verdict(benchmark: Benchmark, item: Item, line: Mapping[str, Any]) -> Verdict:
    """What the scores of an item's options are worth; an item that failed is wrong in every figure.

    Beside the figures of `scorers.likelihood`: `letter`, whether the right letter is the likeliest after the
    lettered question; `parsed` is the letter that was.
    """
    if "error" in line:
        return Verdict(dict.fromkeys(FIGURES[benchmark.likelihood], 0.0), None)
    logprobs, n_bytes = zip(*line["texts"], strict=True)
    letter = best(line["letters"])
    scores = likelihood_verdict(benchmark, item, logprobs, n_bytes).scores
    return Verdict({**scores, "letter": float(letter == item.gold)}, LETTERS[letter])
