"""ARC-Challenge: school science questions that retrieval and word statistics get wrong.

Row: `id`, `question`, `choices` (`text`, `label`), `answerKey`. Prompt: the question and its three to five
options with letters, shuffled by seed. Read: the option named by letter or text. Scored: it is the right
one.
Source: Clark et al., Think you have Solved Question Answering?, 2018; Allen Institute for AI (CC BY-SA
4.0).
"""

from __future__ import annotations

from blendin_local.jobs.evaluation.benchmarks.prompts import CHOOSING, choice_item, score_choice
from blendin_local.jobs.evaluation.dataset import DATA
from blendin_local.jobs.scoring.data_files import DataFile, DataRow
from blendin_local.jobs.scoring.items import Benchmark, Item


def item(row: DataRow, seed: int) -> Item:
    """A question; its stratum is how many options it has."""
    choices = row.values["choices"]
    if not isinstance(choices, dict):
        raise row.error("choices is not an object with text and label")
    options = row.all_texts("choices.text", choices.get("text"))
    labels = row.all_texts("choices.label", choices.get("label"))
    if len(options) != len(labels):
        raise row.error(f"choices has {len(options)} texts but {len(labels)} labels")
    right = row.text("answerKey")
    if right not in labels:
        raise row.error(f"answerKey is {right!r}, which is none of the labels {', '.join(labels)}")
    gold, stratum = labels.index(right), f"{len(options)} options"
    return choice_item(
        row, row.text("id"), row.text("question"), options, gold=gold, seed=seed, stratum=stratum
    )


ARC_CHALLENGE = Benchmark(
    name="arc-challenge",
    title="ARC-Challenge",
    about="Hard school science questions: is the option named the right one?",
    source="Clark et al. 2018, Allen Institute for AI",
    licence="CC BY-SA 4.0",
    file=DataFile("arc_challenge", "test.jsonl", ("id", "question", "choices", "answerKey"), DATA),
    system=CHOOSING,
    max_tokens=256,
    metrics=("accuracy",),
    item=item,
    score=score_choice,
    likelihood="text",
)
