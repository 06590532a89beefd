"""The frame of all questions: one system line per kind of task, and options with letters.

Here: the system lines and `lettered`. As in the paper: zero-shot, one system line, greedy; `Question:` before the
question is the base's plain template, the guide has its chat template.
Not here: the templates (`models.toml`).
"""

from __future__ import annotations

from collections.abc import Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
REASONING = "Solve the problem step by step, and give the final answer at the end."
CHOOSING = "Think through the options step by step, and name the letter of the right one at the end."
HELPFUL = "You are a helpful assistant."


def lettered(question: str, options: Sequence[str]) -> str:
    """The question with its options, one a line: `A. text`."""
    lines = [f"{LETTERS[index]}. {option}" for index, option in enumerate(options)]
    return "\n".join([question.strip(), *lines])
