"""The texts that ship with the check: prompts of many kinds, and a reference text in passages.

Not here: a user's own prompts (`jobs.batch.input_file`). Both texts were written for this program.
"""

from __future__ import annotations

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
