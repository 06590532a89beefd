"""GSM8K: grade-school word problems whose answer is one number.

Row: `question`, and `answer`, a worked solution that ends in `#### number`. Prompt: the question. Read: the
number after `####`, else the last number. Scored: equal as a number.
Source: Cobbe et al., Training Verifiers to Solve Math Word Problems, 2021;
github.com/openai/grade-school-math (MIT).
"""

from __future__ import annotations

from decimal import Decimal

from blendin_local.jobs.evaluation.benchmarks.prompts import REASONING
from blendin_local.jobs.evaluation.dataset import DATA
from blendin_local.jobs.evaluation.scorers.numbers import read_marked_number, read_number
from blendin_local.jobs.scoring.data_files import DataFile, DataRow, key_of
from blendin_local.jobs.scoring.items import Benchmark, Item, LeftOut, Verdict


def item(row: DataRow, seed: int) -> Item | LeftOut:
    """A problem; its stratum is the number of steps in the worked solution."""
    question, solution = row.text("question"), row.text("answer")
    gold = read_marked_number(solution)
    if gold is None:
        raise row.error("answer does not end in #### and a number")
    steps = solution.count("\n")
    reference = {"number": str(gold), "question": question}
    return Item(key_of(question), question, reference=reference, stratum=f"{steps} steps")


def score(item: Item, answer: str) -> Verdict:
    """`accuracy`: the number read is correct; `strict`: it also follows `####`."""
    gold = Decimal(item.reference["number"])
    number, marked = read_number(answer), read_marked_number(answer)
    scores = {"accuracy": float(number == gold), "strict": float(marked == gold)}
    return Verdict(scores, None if number is None else str(number))


GSM8K = Benchmark(
    name="gsm8k",
    title="GSM8K",
    about="Grade-school word problems: is the final number right?",
    source="Cobbe et al. 2021, github.com/openai/grade-school-math",
    licence="MIT",
    file=DataFile("gsm8k", "test.jsonl", ("question", "answer"), DATA),
    system=REASONING,
    max_tokens=512,
    metrics=("accuracy", "strict"),
    item=item,
    score=score,
)
