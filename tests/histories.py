"""Turns and a history to write them to, for the tests of the history and of what shows it."""

from __future__ import annotations

import sys
from pathlib import Path

from blendin_local.core.records import Completion
from blendin_local.history.records import Context, Opening, Turn
from blendin_local.history.writer import HistoryWriter
from tests.answers import asked_step, base_step, completion

OPENING = Opening("chat", "demo", {"base": "demo-base", "guide": "demo-guide"}, {"ctx_size": "512"})
CONTEXT = Context("Be brief.", {"blend": {"threshold": 0.3}})


def answer(text: str = "Sure.") -> Completion:
    """An answer of two steps, the second changed by the guide."""
    return completion(base_step(0, text.encode()), asked_step(1, b" Yes"))


def turn(question: str, text: str = "Sure.") -> Turn:
    """A question with such an answer."""
    made = answer(text)
    return Turn(question, made.text, made)


def raising(error: Exception) -> None:
    """For a writer: no failure is expected."""
    raise error


def writer(path: Path, on_failure=raising, **how) -> HistoryWriter:
    """A writer of a chat with the demo pair."""
    return HistoryWriter(path, OPENING, on_failure, **how)


def written(path: Path, *questions: str) -> list[Turn]:
    """A conversation with these questions, written turn by turn."""
    keeper, turns = writer(path), []
    for question in questions:
        turns.append(turn(question))
        keeper.keep(turns, CONTEXT)
    return turns


if __name__ == "__main__":  # writes conversations until it is done, or killed
    for number in range(int(sys.argv[2])):
        written(Path(sys.argv[1]), f"{sys.argv[3]}-{number}-a", f"{sys.argv[3]}-{number}-b")
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
