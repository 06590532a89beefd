"""The frame of all questions: a system line per kind of task, and options with letters.

Here: the system lines; what all multiple-choice sets share, from options to verdict. As in the paper:
zero-shot, one system line, greedy. `Question:` before the question comes from the base's plain template,
the guide has its chat template.
Not here: the templates (`models.toml`).
"""

from __future__ import annotations

from collections.abc import Sequence

from blendin_local.jobs.evaluation.scorers.choices import LETTERS, read_choice
from blendin_local.jobs.scoring.data_files import DataRow
from blendin_local.jobs.scoring.items import Item, Verdict, shuffled

REASONING = "Solve the problem step by step, and give the final answer at the end."
CHOOSING = "Think through the options step by step, and name the letter of the right one at the end."


def lettered(question: str, options: Sequence[str]) -> str:
    """The question with its options, one a line: `A. text`."""
    lines = [f"{LETTERS[index]}. {text}" for index, text in enumerate(options)]
    return "\n".join([question.strip(), *lines])


def choice_item(
    row: DataRow, key: str, question: str, options: Sequence[str], *, gold: int, seed: int, stratum: str
) -> Item:
    """A question with its options in an order drawn by seed and key; `gold` counts in the stored order."""
    if not 0 <= gold < len(options) <= len(LETTERS):
        raise row.error(f"the right option has the index {gold}, but there are only {len(options)}")
    order = shuffled(len(options), seed, key)
    mixed = tuple(options[index].strip() for index in order)
    reference = {"question": question.strip()}
    return Item(key, lettered(question, mixed), mixed, order.index(gold), reference, stratum)


def score_choice(item: Item, answer: str) -> Verdict:
    """`accuracy`: the option that the answer names is the right one. Parsed is its letter."""
    choice = read_choice(answer, item.options)
    return Verdict({"accuracy": float(choice == item.gold)}, None if choice is None else LETTERS[choice])
