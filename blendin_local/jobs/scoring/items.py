"""Questions, verdicts and benchmarks: the words that data, scorers and reports share.

Here: the records; a fixed part of a benchmark (`subset`), and the seeded order of options.
Not here: the benchmarks (`jobs.evaluation.benchmarks`, `jobs.probe.prompts`), how an answer is read
(`refusals`, `instructions`, `jobs.evaluation.scorers`), verdicts folded into figures (`figures`).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from blendin_local.jobs.scoring.data_files import DataFile, DataRow
from blendin_local.settings import EVALUATION_SEED as SEED

Likelihood = Literal["", "text", "mc"]


@dataclass(frozen=True, slots=True)
class Item:
    """One question.

    Attributes:
        key: Its name within the benchmark; the same in every edition of the data.
        prompt: The user's message, lettered options included where there are any.
        options: The option texts in the order shown.
        gold: The right option's index, or None.
        reference: What else the scorer needs (the right number, the label, the instructions).
        stratum: The kind of question; a subset keeps the kinds' proportions.
    """

    key: str
    prompt: str
    options: tuple[str, ...] = ()
    gold: int | None = None
    reference: Mapping[str, Any] = field(default_factory=dict)
    stratum: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is not asked, because nothing here could score it.

    Attributes:
        key: Its name within the benchmark.
        reason: Why, in a few words.
    """

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer is worth.

    Attributes:
        scores: Metric to 0..1; a metric that does not apply to the item is absent.
        parsed: What was read out of the answer; None: nothing could be read.
        weights: Metric to how much this item counts in its mean, where that is not 1.
    """

    scores: Mapping[str, float]
    parsed: str | None
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """A set of questions and how answers to it are scored.

    Attributes:
        name: Its name on the command line.
        title: Its name in reports.
        about: What it measures, in a line.
        source: Paper and place of the data.
        licence: Terms of the data.
        file: Its file, shipped or in a data folder.
        system: The system line of every question.
        max_tokens: Enough tokens for an answer that can be scored.
        metrics: Metrics of a verdict, the main one first.
        item: From a row and a seed (of the options' order) to an item, or why the row cannot be scored.
        score: From an item and an answer to a verdict.
        likelihood: How options are read by log-likelihood: `text` (one is right), `mc` (TruthfulQA), or not.
        figures: Further figures, each the plain mean of the means of some metrics.
        in_paper: Whether the paper has it.
    """

    name: str
    title: str
    about: str
    source: str
    licence: str
    file: DataFile
    system: str
    max_tokens: int
    metrics: tuple[str, ...]
    item: Callable[[DataRow, int], Item | LeftOut]
    score: Callable[[Item, str], Verdict]
    likelihood: Likelihood = ""
    figures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    in_paper: bool = True

    def load(self, root: Path | None = None, seed: int = SEED) -> list[Item]:
        """The items in the file's order: of the shipped subset, or of the set below the folder `root`."""
        return [item for _, item in self.read(root, seed) if isinstance(item, Item)]

    def left_out(self, root: Path | None = None) -> list[LeftOut]:
        """The rows that cannot be scored here, with the reason."""
        return [item for _, item in self.read(root) if isinstance(item, LeftOut)]

    def read(self, root: Path | None = None, seed: int = SEED) -> list[tuple[DataRow, Item | LeftOut]]:
        """Every row with what it became; a question that comes again (MMLU has some) has a key of its own."""
        made: list[tuple[DataRow, Item | LeftOut]] = []
        seen: Counter[str] = Counter()
        for row in self.file.rows(root):
            item = self.item(row, seed)
            seen[item.key] += 1
            again = seen[item.key]
            made.append((row, item if again == 1 else replace(item, key=f"{item.key}-{again}")))
        return made

    @property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """Every figure of this benchmark with the metrics whose means it averages, the main figure first."""
        return {**self.figures, **{metric: (metric,) for metric in self.metrics}}

    @property
    def main_figure(self) -> str:
        """The figure that represents the benchmark in a table."""
        return next(iter(self.parts))


def rank(seed: int, key: str) -> str:
    """A fixed random rank: what is sorted by it is shuffled, and the same way everywhere."""
    return hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()


def shuffled(n: int, seed: int, key: str) -> list[int]:
    """The numbers 0 to n - 1 in an order that depends on nothing but `seed` and the question's `key`."""
    return sorted(range(n), key=lambda index: rank(seed, f"{key}:{index}"))


def subset(items: Sequence[Item], n: int, seed: int = SEED) -> list[Item]:
    """`n` of the items, drawn by seed, each stratum in proportion, in their old order.

    Within its stratum of m items, the r-th drawn item has the position `(r + 1/2) / m`; the n items with
    the lowest positions are taken. So a smaller subset is always part of a larger one, and the order of the
    file has no influence.
    """
    strata: dict[str, list[Item]] = defaultdict(list)
    for item in sorted(items, key=lambda item: rank(seed, item.key)):
        strata[item.stratum].append(item)
    positions = [
        ((r + 0.5) / len(s), rank(seed, item.key)) for s in strata.values() for r, item in enumerate(s)
    ]
    taken = {position[1] for position in sorted(positions)[:n]}
    return [item for item in items if rank(seed, item.key) in taken]
