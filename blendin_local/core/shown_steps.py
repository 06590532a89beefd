"""What is shown of an answer: its steps with their texts, less what was cut off at the end.

Here: `Stepwise`, an answer that has been made or was stored, and `shown_steps`.
Not here: the records (`core.records`), how a step looks (`views.answer`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from blendin_local.core.records import Step


class Stepwise(Protocol):
    """What is shown of an answer: a `Completion`, or one that was stored."""

    @property
    def text(self) -> str:
        """The answer."""
        ...

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps."""
        ...

    @property
    def end(self) -> Step | None:
        """The decision that ended it, where END won."""
        ...


def shown_steps(answer: Stepwise) -> Iterator[tuple[Step, str]]:
    """The steps that make up the answer's text, with their text, less a stop string cut off at the end."""
    left = len(answer.text)
    for step in answer.steps:
        text = step.text[:left]
        if not text:
            return
        yield step, text
        left -= len(text)
