"""Where a word is in an answer.

Here: `steps_of_word`, the steps that a word is made of, by its place in the text; `near_words`.
Not here: what is shown of them (`cli.chat.step_commands`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from blendin_local.core.records import Completion, Step


def steps_of_word(completion: Completion, word: str) -> list[tuple[Step, ...]]:
    """The places of a word in an answer, each as the steps that it is part of.

    Args:
        completion: The answer; what a stop string cut off is not searched.
        word: A word or several, in any case. Where the text has it as a whole word, it is not also found
            inside of others.
    """
    if not word.strip():
        return []
    pattern = re.escape(word)
    whole_word = rf"(?<!\w){pattern}(?!\w)"
    text = completion.text
    found = list(re.finditer(whole_word, text, re.IGNORECASE)) or list(
        re.finditer(pattern, text, re.IGNORECASE)
    )
    return [tuple(_between(completion.steps, match.start(), match.end())) for match in found]


def _between(steps: Sequence[Step], start: int, end: int) -> Iterator[Step]:
    """The steps with a character between two positions of the text."""
    at = 0
    for step in steps:
        size = len(step.text)
        if at < end and at + size > start:
            yield step
        at += size


def near_words(text: str, word: str) -> list[str]:
    """Up to three words of a text that are spelt like this one."""
    words = {each.casefold(): each for each in re.findall(r"\w+", text)}
    return [words[each] for each in difflib.get_close_matches(word.casefold(), words, 3)]
