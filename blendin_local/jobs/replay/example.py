"""The stored answers that come with the program, for `blendin replay --example`.

Here: where they are.
Not here: how they were made (`benchmarks/make_example.py`), reading them, which is like any file
(`answer_file`).
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def example_path() -> Path:
    """The file of the example: lines as of `blendin batch --steps`, packed with gzip."""
    return Path(str(resources.files(__package__).joinpath("data", "example.jsonl.gz")))
