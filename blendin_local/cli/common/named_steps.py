"""Steps of an answer and their candidates, as they are typed: by number or by text.

Here: finding the step and the candidate that a text names.
Not here: the commands that take them (`cli.chat`), an answer that goes on from a step (`core.answer_start`).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress

from blendin_local.cli.common.values import without_surrogates
from blendin_local.core.records import Completion, Step
from blendin_local.errors import UsageError
from blendin_local.views.answer_tables import numbered_candidates

MAX_DIGITS = 10  # of a step's number


def decisions(completion: Completion) -> list[Step]:
    """The steps of an answer, and END where that ended it."""
    return [*completion.steps, *([] if completion.end is None else [completion.end])]


def is_number(text: str) -> bool:
    """Whether a text is the number of a step or a candidate."""
    return text.isdecimal() and len(text) < MAX_DIGITS


def unquoted(text: str) -> str:
    """A text without the quotation marks around it, if it has some."""
    with suppress(ValueError):
        words = shlex.split(text)
        if text[:1] in {"'", '"'} and len(words) == 1:
            return words[0]
    return text


def step_named(steps: Sequence[Step], text: str, answer: str = "the last answer") -> Step:
    """The step with a number.

    Args:
        steps: Those of an answer.
        text: The number.
        answer: What the answer is called where there is no such step.

    Raises:
        UsageError: There is none.
    """
    if is_number(text) and int(text) < len(steps):
        return steps[int(text)]
    hint = f"{answer} has steps 0 to {len(steps) - 1}" if steps else f"{answer} has no steps"
    raise UsageError(f"there is no step {text}", hint)


def candidate_named(step: Step, text: str) -> bytes:
    """A candidate of a step by its number in the table of `/why`, or by its text.

    A text that is no candidate is taken as it is. Without quotation marks it begins with the white space that
    the step begins with, so that a word replaces a word.
    """
    known = numbered_candidates(step)
    if is_number(text) and 0 < int(text) <= len(known):
        return known[int(text) - 1].bytes
    wanted = without_surrogates(unquoted(text), "the candidate")
    if wanted != text:
        return wanted.encode()
    found = next((each.bytes for each in known if each.text.strip() == wanted), None)
    old = step.bytes.decode()
    return found or (old[: len(old) - len(old.lstrip())] + wanted).encode()
