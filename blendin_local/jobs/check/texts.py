"""The texts that ship with the check: prompts of many kinds, and a reference text in passages.

Here: where they lie and how they are cut.
Not here: a user's own prompts (`jobs.batch.input_file`). Both texts were written for this program.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

PARTING = "%%\n"  # between two passages


def prompts_file() -> Path:
    """A prompt a line."""
    return Path(str(resources.files(__package__).joinpath("data", "prompts.txt")))


def reference_passages() -> list[str]:
    """Prose, a recipe, code, minutes, an essay, a letter and dialogue; about 2,000 tokens together."""
    text = resources.files(__package__).joinpath("data", "reference.txt").read_text(encoding="utf-8")
    return [passage.strip("\n") for passage in text.split(PARTING)]
