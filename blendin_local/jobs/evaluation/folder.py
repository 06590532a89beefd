"""The files of an evaluation: its plan, its questions, the answers, and the report.

    DIR/plan.json                       what is compared, on what, with which models
    DIR/items/BENCHMARK.jsonl           the questions: an input of `blendin batch`
    DIR/PAIR/BENCHMARK/METHOD.jsonl     the answers, with a manifest (and a file of errors) beside them
    DIR/PAIR/BENCHMARK/METHOD.judged.jsonl       verdicts of a judge
    DIR/PAIR/BENCHMARK/likelihood.ROLE.jsonl     options read by log-likelihood
    DIR/report.json, report.html, report.md      what came of it

Here: `Folder`, and the file of questions, written and read back.
Not here: the lines of answers (`jobs.batch.formats`), the plan (`plan`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blendin_local.errors import UsageError, WriteError
from blendin_local.jobs.batch.jsonl_file import cannot_write, encode, replace_file
from blendin_local.jobs.scoring.items import Item


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one evaluation."""

    root: Path

    @property
    def plan(self) -> Path:
        """What is compared."""
        return self.root / "plan.json"

    def items(self, benchmark: str) -> Path:
        """The questions."""
        return self.root / "items" / f"{benchmark}.jsonl"

    def answers(self, pair: str, benchmark: str, variant: str) -> Path:
        """The answers of a method."""
        return self._of(pair, benchmark) / f"{_plain(variant)}.jsonl"

    def judged(self, pair: str, benchmark: str, variant: str) -> Path:
        """The verdicts on them."""
        return self._of(pair, benchmark) / f"{_plain(variant)}.judged.jsonl"

    def likelihood(self, pair: str, benchmark: str, role: str) -> Path:
        """Log-likelihoods of the options."""
        return self._of(pair, benchmark) / f"likelihood.{_plain(role)}.jsonl"

    def report(self, ending: str) -> Path:
        """A form of the report."""
        return self.root / f"report.{ending}"

    def make(self, path: Path) -> Path:
        """A path whose directory exists.

        Raises:
            WriteError: It cannot be made.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path.parent, error) from error
        return path

    def _of(self, pair: str, benchmark: str) -> Path:
        return self.root / _plain(pair) / benchmark


def _plain(name: str) -> str:
    """A name as a file can have it."""
    return re.sub(r"[^\w.+=,\[\]-]+", "-", name).strip(".-") or "unnamed"


def manifest_of(answers: Path) -> Path:
    """The manifest beside a file of answers."""
    return answers.with_name(answers.name.removesuffix(".jsonl") + ".manifest.json")


def errors_of(answers: Path) -> Path:
    """The rows without an answer, beside those that have one."""
    return answers.with_name(answers.name.removesuffix(".jsonl") + ".errors.jsonl")


def write_items(path: Path, items: Sequence[Item]) -> None:
    """Keep the questions, in their order; the same ones again change nothing.

    Raises:
        UsageError: Other questions are kept there.
        WriteError: The disk refuses.
    """
    lines = [encode(_row(item)) for item in items]
    if not path.exists():
        replace_file(path, lines)
    elif path.read_bytes() != b"".join(lines):
        raise UsageError(
            f"{path} holds other questions than this command asks",
            "give the old --seed, --full and --data, or choose another -o",
        )


def _row(item: Item) -> dict[str, Any]:
    values = asdict(item)
    return {"custom_id": values.pop("key"), **values}


def read_items(path: Path) -> list[Item]:
    """The questions that were kept.

    Raises:
        UsageError: The file is missing or something else.
    """
    try:
        return [_item(json.loads(line)) for line in path.read_bytes().splitlines()]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{path} is not a file of questions: {error}", "restore it, or start a new evaluation"
        ) from None


def _item(values: dict[str, Any]) -> Item:
    options = tuple(values.pop("options"))
    return Item(key=values.pop("custom_id"), options=options, **values)


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file in one piece.

    Raises:
        WriteError: The disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{path.parent} cannot be made: {error.strerror}", "choose another -o") from error
    replace_file(path, [text.encode()])
