"""A user's own validation set: JSON Lines with `prompt` and `answer`.

Here: `user_dataset`, which makes a benchmark of such a file.
Not here: the published benchmarks (`jobs.evaluation.benchmarks`).
Scoring: a reference answer that is a number must be the last number in the model's answer (after `####`, if
that is there). Any other must occur in it word for word; case and punctuation do not matter. Where there are
several reference answers, one of them is enough.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from blendin_local.errors import UsageError
from blendin_local.jobs.evaluation.scorers.numbers import read_number
from blendin_local.jobs.scoring.data_files import DataFile, DataRow, key_of
from blendin_local.jobs.scoring.items import Benchmark, Item, Verdict
from blendin_local.jobs.scoring.texts import cut_run_on

NUMBER = re.compile(r"[-+]?\$?(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?")
WORD = re.compile(r"\w+")
MAX_TOKENS = 256
BY_NUMBER, BY_WORDS = "last number", "contains the answer"


def user_dataset(path: Path) -> Benchmark:
    """The rows of a file as a benchmark.

    Raises:
        UsageError: There is no such file.
    """
    if not path.is_file():
        raise UsageError(
            f"{path} is not a file", "give JSON Lines with prompt and answer, or the name of a benchmark"
        )
    return Benchmark(
        name=path.stem,
        title=path.name,
        about="The user's own questions: is the answer right?",
        source=str(path),
        licence="the user's",
        file=DataFile("", path.name, ("prompt", "answer"), path.parent),
        system="",
        max_tokens=MAX_TOKENS,
        metrics=("right",),
        item=_item,
        score=score,
        in_paper=False,
    )


def _item(row: DataRow, _: int) -> Item:
    prompt, answers = row.text("prompt"), _answers(row)
    named = row.values.get("custom_id", row.values.get("id"))
    rule = BY_NUMBER if all(is_number(answer) for answer in answers) else BY_WORDS
    key = key_of(prompt) if named is None else str(named)
    return Item(key, prompt, reference={"answers": answers, "rule": rule}, stratum=rule)


def _answers(row: DataRow) -> tuple[str, ...]:
    value = row.values["answer"]
    listed = value if isinstance(value, list) else [value]
    answers = tuple(str(one).strip() for one in listed if isinstance(one, str | int | float))
    if not answers or len(answers) != len(listed) or not all(map(_readable, answers)):
        raise row.error(f"answer is {value!r:.40}, not a text or a number")
    return answers


def _readable(answer: str) -> bool:
    return is_number(answer) or bool(WORD.search(answer))


def is_number(text: str) -> bool:
    """Whether a text is one number and nothing else."""
    return bool(NUMBER.fullmatch(text)) and any(map(str.isdecimal, text))


def score(item: Item, answer: str) -> Verdict:
    """`right`: 1 or 0 by the item's rule."""
    accepted: Sequence[str] = item.reference["answers"]
    if item.reference["rule"] == BY_NUMBER:
        number = read_number(answer)
        right = number is not None and any(number == _decimal(one) for one in accepted)
        return Verdict({"right": float(right)}, None if number is None else str(number))
    words = _words(cut_run_on(answer))
    found = next((one for one in accepted if f" {_words(one)} " in f" {words} "), None)
    return Verdict({"right": float(found is not None)}, found)


def _decimal(text: str) -> Decimal:
    return Decimal(re.sub(r"[,$]", "", text))


def _words(text: str) -> str:
    return " ".join(WORD.findall(text.casefold()))
