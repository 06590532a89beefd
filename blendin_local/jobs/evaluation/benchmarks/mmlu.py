"""MMLU: exam questions of 57 subjects with four options.

Row: `subject`, `question`, `choices`, `answer` (index of the right one, from 0). Prompt: the question and
the options with letters, shuffled by seed. Read: the option named by letter or text. Scored: it is the
right one.
Source: Hendrycks et al., Measuring Massive Multitask Language Understanding, 2021;
github.com/hendrycks/test (MIT).
"""

from __future__ import annotations

from blendin_local.jobs.evaluation.benchmarks.prompts import CHOOSING, choice_item, score_choice
from blendin_local.jobs.evaluation.dataset import DATA
from blendin_local.jobs.scoring.data_files import DataFile, DataRow, key_of
from blendin_local.jobs.scoring.items import Benchmark, Item


def item(row: DataRow, seed: int) -> Item:
    """A question; its stratum is the subject."""
    question, options, gold = row.text("question"), row.texts("choices"), row.number("answer")
    subject = row.text("subject")
    key = key_of(subject, question, *options)
    return choice_item(row, key, question, options, gold=gold, seed=seed, stratum=subject)


MMLU = Benchmark(
    name="mmlu",
    title="MMLU",
    about="Exam questions of 57 subjects: is the option named the right one?",
    source="Hendrycks et al. 2021, github.com/hendrycks/test",
    licence="MIT",
    file=DataFile("mmlu", "test.jsonl", ("subject", "question", "choices", "answer"), DATA),
    system=CHOOSING,
    max_tokens=256,
    metrics=("accuracy",),
    item=item,
    score=score_choice,
    likelihood="text",
)
