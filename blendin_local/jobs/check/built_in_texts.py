"""The texts that ship with the check: prompts of many kinds, a reference text, and one-word answers.

Not here: a user's own prompts (`jobs.batch.input_file`). All of them were written for this program.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

SEPARATOR = "%%\n"  # between two passages


def built_in_prompts() -> Path:
    """A file with one prompt per line."""
    return Path(str(resources.files(__package__).joinpath("data", "prompts.txt")))


def reference_passages() -> list[str]:
    """Prose, a recipe, code, minutes, an essay, a letter and dialogue; about 2,000 tokens together."""
    text = resources.files(__package__).joinpath("data", "reference.txt").read_text(encoding="utf-8")
    return [passage.strip("\n") for passage in text.split(SEPARATOR)]


def one_word_answers() -> list[tuple[str, str]]:
    """A dozen questions for small models, each with its answer: one word, without a full stop."""
    text = resources.files(__package__).joinpath("data", "one_word_answers.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [(row["question"], row["answer"]) for row in rows]
