"""TruthfulQA: questions that many people answer with a common error.

Row: `Category`, `Question`, `Best Answer`, `Correct Answers` and `Incorrect Answers` (`;` between them).
Prompt: the question with the best and every incorrect answer as options, shuffled by seed, because the
stored order puts the right one first. Read: the option named by letter or text (MC1). By log-likelihood:
MC1 over these options, and MC2, the share of probability on all correct answers.
Source: Lin et al., TruthfulQA, 2022; github.com/sylinrl/TruthfulQA (Apache-2.0), the edition without the
column `Best Incorrect Answer`.
"""

from __future__ import annotations

from dataclasses import replace

from blendin_local.jobs.evaluation.benchmarks.prompts import CHOOSING, choice_item, score_choice
from blendin_local.jobs.evaluation.dataset import DATA
from blendin_local.jobs.scoring.data_files import DataFile, DataRow, key_of
from blendin_local.jobs.scoring.items import Benchmark, Item

FIELDS = ("Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers")


def item(row: DataRow, seed: int) -> Item:
    """A question; its stratum is the category."""
    question, best = row.text("Question"), row.text("Best Answer").strip()
    true = [text for text in _answers(row.text("Correct Answers")) if text != best]
    false = [text for text in _answers(row.text("Incorrect Answers")) if text != best and text not in true]
    made = choice_item(
        row, key_of(question), question, (best, *false), gold=0, seed=seed, stratum=row.text("Category")
    )
    return replace(made, reference={**made.reference, "further_true": tuple(true)})


def _answers(cell: str) -> list[str]:
    return list(dict.fromkeys(text.strip() for text in cell.split(";") if text.strip()))


TRUTHFULQA = Benchmark(
    name="truthfulqa",
    title="TruthfulQA",
    about="Questions with a popular wrong answer: is the true option named?",
    source="Lin et al. 2022, github.com/sylinrl/TruthfulQA",
    licence="Apache-2.0",
    file=DataFile("truthfulqa", "TruthfulQA.csv", FIELDS, DATA),
    system=CHOOSING,
    max_tokens=256,
    metrics=("accuracy",),
    item=item,
    score=score_choice,
    likelihood="mc",
)
