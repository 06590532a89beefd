"""Options scored by log-likelihood: which texts are scored, and what the numbers mean.

Here: pure functions on given log-probabilities: accuracy, accuracy per byte, TruthfulQA's MC1 and MC2.
Not here: where the log-probabilities come from (`Pair.option_logprobs`).

Agreement with the published reference: the definitions are lm-evaluation-harness 0.4.13's. Its `acc_norm`
divides by characters and its `acc_bytes` by bytes; here it is bytes, so the two differ only on options with
other than ASCII letters. Its TruthfulQA puts six worked questions before each; here the frame is the
benchmark's own, without any.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from blendin_local.jobs.scoring.items import Benchmark, Item, Verdict


def likelihood_texts(benchmark: Benchmark, item: Item) -> tuple[str, ...]:
    """The texts to score after the question `item.reference["question"]`.

    For `text` the options; for `mc` the options of MC1 and then every further true answer.
    """
    further = item.reference.get("further_true", ()) if benchmark.likelihood == "mc" else ()
    return (*item.options, *further)


def likelihood_verdict(
    benchmark: Benchmark, item: Item, logprobs: Sequence[float], n_bytes: Sequence[int]
) -> Verdict:
    """What the log-likelihoods of `likelihood_texts` are worth, in the same order.

    `text`: `acc`, `acc_norm`. `mc`: `mc1`, `mc2`. Parsed is the letter of the likeliest option.
    """
    if item.gold is None:
        raise ValueError(f"{item.key} has no right option")
    n = len(item.options)
    letter = chr(ord("A") + best(logprobs[:n]))
    if benchmark.likelihood == "mc":
        truths = [index == item.gold or index >= n for index in range(len(logprobs))]
        return Verdict({"mc1": mc1(logprobs[:n], item.gold), "mc2": mc2(logprobs, truths)}, letter)
    normed = best(per_byte(logprobs, n_bytes))
    scores = {"acc": float(best(logprobs) == item.gold), "acc_norm": float(normed == item.gold)}
    return Verdict(scores, letter)


def best(logprobs: Sequence[float]) -> int:
    """The index of the likeliest option; the first of several equal ones."""
    return int(np.argmax(logprobs))


def per_byte(logprobs: Sequence[float], n_bytes: Sequence[int]) -> list[float]:
    """`log p(option) / bytes(option)`, so that long options are not punished for their length."""
    return [logprob / max(size, 1) for logprob, size in zip(logprobs, n_bytes, strict=True)]


def mc1(logprobs: Sequence[float], gold: int) -> float:
    """1 where the best answer is likelier than every wrong one, else 0; a tie is not likelier."""
    return float(all(logprobs[gold] > logprob for index, logprob in enumerate(logprobs) if index != gold))


def mc2(logprobs: Sequence[float], truths: Sequence[bool]) -> float:
    """The share of probability on the true answers: `sum_true p / sum_all p`."""
    return float(special.softmax(np.asarray(logprobs, dtype=np.float64))[np.asarray(truths)].sum())
