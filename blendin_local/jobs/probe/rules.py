"""Rules that an answer to a built-in instruction must obey: how many words, which words, which form.

Here: `RULES`, one small function per rule, and `obeys`.
Not here: the instructions (`prompts`). The rules of IFEval (`jobs.scoring.instructions`) are used
where they say the same; most of these say more, such as exactly so many words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blendin_local.jobs.scoring.instructions import (
    end_checker,
    forbidden_words,
    number_bullet_lists,
    quotation,
)

Rule = Callable[..., bool]
WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")
SENTENCE_END = re.compile(r"[.!?]+[\"'\u201d)*]*(?=\s|\Z)")
FENCE = re.compile(r"\A```(?:json)?\s*|\s*```\Z", re.IGNORECASE)


def obeys(rule: str, arguments: Mapping[str, Any], answer: str) -> bool:
    """Whether an answer obeys one rule; an empty answer obeys none.

    Args:
        rule: A key of `RULES`.
        arguments: What the rule asks for.
        answer: The answer without white space around it.
    """
    return bool(answer) and RULES[rule](answer, **arguments)


def words(text: str, least: int, most: int) -> bool:
    """So many words; `don't` and `well-known` are one each."""
    return least <= len(WORD.findall(text)) <= most


def sentences(text: str, n: int) -> bool:
    """Exactly n sentences, the last one finished."""
    ends = list(SENTENCE_END.finditer(text))
    return len(ends) == n and ends[-1].end() == len(text)


def lines(text: str, n: int) -> bool:
    """Exactly n lines with something on them."""
    return sum(bool(line.strip()) for line in text.splitlines()) == n


def contains(text: str, words: Sequence[str]) -> bool:
    """Each of the words, in any case, as a whole word."""
    return all(_has(text, word) for word in words)


def contains_any(text: str, words: Sequence[str], least: int = 1) -> bool:
    """At least so many of the words, in any case, as whole words."""
    return sum(_has(text, word) for word in words) >= least


def avoids(text: str, words: Sequence[str]) -> bool:
    """None of the words, in any case, as a whole word."""
    return forbidden_words(text, words)


def in_order(text: str, words: Sequence[str]) -> bool:
    """The words, in this order; others may stand between them."""
    said = iter(word.casefold() for word in WORD.findall(text))
    return all(word.casefold() in said for word in words)


def lower_case(text: str) -> bool:
    """Letters, and none of them a capital."""
    return text.islower()


def upper_case(text: str) -> bool:
    """Letters, and all of them capitals."""
    return text.isupper()


def starts_with(text: str, phrase: str) -> bool:
    """It begins with the phrase, in any case."""
    return text.lstrip("\"'*").casefold().startswith(phrase.casefold())


def ends_with(text: str, phrase: str) -> bool:
    """It ends with the phrase, in any case; a full stop, exclamation mark or quotation mark may follow."""
    return end_checker(text, phrase) or end_checker(text.rstrip(".!\"'* "), phrase)


def dashes(text: str, n: int) -> bool:
    """Exactly n bullet points."""
    return number_bullet_lists(text, n)


def quoted(text: str) -> bool:
    """All of it between double quotation marks."""
    return quotation(text)


def between(text: str, left: str, right: str, word: str) -> bool:
    """The word stands between the two marks, on one line."""
    inside = re.findall(rf"{re.escape(left)}(.*?){re.escape(right)}", text)
    return any(_has(part, word) for part in inside)


def json_object(text: str, values: Mapping[str, Sequence[Any]]) -> bool:
    """A JSON object with these keys and no others, each with one of its values; in a fence or not."""
    try:
        found = json.loads(FENCE.sub("", text))
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict) or found.keys() != values.keys():
        return False
    return all(found[key] in accepted for key, accepted in values.items())


def _has(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        words,
        sentences,
        lines,
        contains,
        contains_any,
        avoids,
        in_order,
        lower_case,
        upper_case,
        starts_with,
        ends_with,
        dashes,
        quoted,
        between,
        json_object,
    )
}
