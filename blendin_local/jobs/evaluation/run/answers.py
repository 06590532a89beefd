"""Answers as they were kept, and what can be counted on them without knowing the question.

Here: `KeptAnswer`, and `read_answers`.
Not here: what an answer is worth (`items.Benchmark.score`), the lines as written (`jobs.batch.formats`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blendin_local.jobs.batch.jsonl_file import read_back
from blendin_local.jobs.evaluation.folder import errors_of, manifest_of


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """One kept answer.

    Attributes:
        text: The answer; empty if the row failed.
        stopped_by: What ended the answer, or `failed` if there is none.
        steps: Steps of the answer.
        asked: Steps at which the guide was consulted.
        changed: Of these, steps whose result is not the base's top candidate.
    """

    text: str
    stopped_by: str
    steps: int = 0
    asked: int = 0
    changed: int = 0

    @property
    def failed(self) -> bool:
        """Whether there is no answer (a prompt longer than the context, for one)."""
        return self.stopped_by == "failed"

    @property
    def cut(self) -> bool:
        """Whether a limit ended it."""
        return self.stopped_by in {"max_tokens", "context"}

    @property
    def empty(self) -> bool:
        """Whether it holds nothing but white space."""
        return not self.text.strip() and not self.failed

    @property
    def repeating(self) -> bool:
        """Whether it was ended because it only repeated itself."""
        return self.stopped_by == "repetition"

    @property
    def endless(self) -> bool:
        """Whether neither a model's END nor a stop string ended it."""
        return self.cut or self.repeating


def read_answers(path: Path) -> dict[str, KeptAnswer]:
    """The answers of a file by item, and the rows that failed; none where the file is not there.

    Raises:
        UsageError: The file holds something else.
    """
    found: dict[str, KeptAnswer] = {}

    def fail(line: Mapping[str, Any]) -> None:
        found[line["custom_id"]] = KeptAnswer("", "failed")

    def take(line: Mapping[str, Any]) -> None:
        blend = line["blend"]
        counts = (blend[name] for name in ("steps", "asked", "changed"))
        found[line["custom_id"]] = KeptAnswer(line["text"], line["stopped_by"], *counts)

    read_back(errors_of(path), fail)
    read_back(path, take)
    return found


def read_times(path: Path) -> dict[str, Any]:
    """Seconds and state of the runs that wrote a file of answers; empty if that is not known."""
    try:
        manifest = json.loads(manifest_of(path).read_bytes())
        return {"state": manifest["state"], "seconds": manifest["times"]["seconds"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def read_signature(path: Path) -> dict[str, Any]:
    """How the first answer of a file was made: files, versions, settings; empty if there is none."""
    try:
        with path.open("rb") as file:
            signature: dict[str, Any] = json.loads(file.readline())["signature"]
    except (OSError, ValueError, KeyError):
        return {}
    return signature
