r"""Which option an answer names: by its letter, or by its text (MMLU, ARC-Challenge, TruthfulQA).

Here: `read_choice`. Not here: options read by log-likelihood, where the model writes nothing (`likelihood`).

A list of several options, one per line, repeats the question and is skipped. The first rule that
finds something decides; two different options found by it are no parse. An answer that is an option's text
and nothing else names that option; then come
1. a verdict in words: `the answer is (B)`, `Answer: B`, `option B is correct`, `\boxed{B}`;
2. a letter that opens the answer: `B`, `(B)`, `B. text`, `**B**`, `B because`;
3. letters set apart as options: `(B)`, `**B**`, `option B`, or `B.` at the start of a line;
4. the text of an option in whole words, longer options before shorter ones that they contain.

Agreement with a published reference: there is none to agree with, because lm-evaluation-harness scores these
sets by log-likelihood and the paper by a judge. The rules are held to hand-made forms in the tests, and
answers without a parse are counted apart, so what the rules miss is seen. Of the 64,967 options of the three
complete sets, 64,940 are read as themselves when their text is the whole answer; the others stand twice in
their question, differ from another in case only, or are one letter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from blendin_local.jobs.scoring.texts import ANSWER, cut_run_on, plain_quotes

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OPEN, CLOSE = r"[\s*_`\"'$(\[{]*+", r"[*_`\"'$)\]}]*"  # what may come before and after a letter


class Rules(NamedTuple):
    """The patterns for a number of options; their groups hold the letters found."""

    verdict: re.Pattern[str]
    opening: re.Pattern[str]
    set_apart: re.Pattern[str]
    listing: re.Pattern[str]


def read_choice(answer: str, options: Sequence[str]) -> int | None:
    """The index of the option that an answer names, or None.

    Args:
        answer: What was generated; only its part before a next question counts.
        options: The option texts in the order in which they were shown with letters.
    """
    text = _once(plain_quotes(cut_run_on(answer))).strip()
    letters = LETTERS[: len(options)]
    texts = [_plain(option) for option in options]
    if texts.count(whole := _plain(text)) == 1 and text not in letters:
        return texts.index(whole)
    rules = _rules(letters)
    text = rules.listing.sub(_pass_over, text).strip()
    for rule in (rules.verdict, rules.opening, rules.set_apart):
        if found := _hits(rule, text):
            return letters.index(found.pop()) if len(found) == 1 else None
    named = _named(_plain(text), texts)
    return named.pop() if len(named) == 1 else None


@cache
def _rules(letters: str) -> Rules:
    one = f"[{letters}]"
    word_a = r"(?!A (?!because|since|as |which|due|but|or |and )[a-z])"  # in `is A planet`, A is an article
    joined = rf"{CLOSE}\s*+(?:,|/|&|\bor\b|\band\b)\s*+(?:option )?{OPEN}"
    whole = rf"{one}(?!\w|'\w)"
    several = rf"{word_a}{whole}(?:{joined}{whole})*+"
    noun = r"(?:\banswer|\b(?:correct|right|best|final) (?:answer|option|choice))"
    announced = (
        rf"(?i:{noun}{CLOSE}(?:\s+(?:is|would be|should be)\b|\s*:|\s*\n){OPEN}:?{OPEN}(?:option )?{OPEN})"
    )
    praise = r"(?i:is (?:the )?(?:most )?(?:correct|right|best|accurate)\b)"
    verdict = (
        rf"{announced}({several})",
        rf"(?:\b|\()({one}){CLOSE}[.:]?\s+{praise}",
        rf"\\boxed{{.{{0,7}}?({one})\b",
    )
    opens = rf"\A{OPEN}({several})(?:{CLOSE}[.):,\n-]|{CLOSE}\s*(?:\Z|\n))"
    goes_on = rf"\A((?![AI]){one})\s+(?=[a-z(])"
    alone = rf"\A\(?([{letters.lower()}])[).]?\Z"
    label = rf"^[ \t]*+\(?{one}"
    line = rf"^[ \t]*+\(?({one})(?:[).:]|\s*$)"
    apart = rf"(?<!\w)\(({one})\)(?!\w)|\*\*\(?({one})[).:]?\*\*|\b(?i:option|choice) ({one})\b|{line}"
    return Rules(
        re.compile("|".join(verdict)),
        re.compile("|".join((opens, goes_on, alone))),
        re.compile(apart, re.MULTILINE),
        re.compile(rf"(?:{label}(?:[).:][^\n]*+|[ \t]*+)(?:\n\s*+|\Z)){{2,}}", re.MULTILINE),
    )


def _once(text: str) -> str:
    """The text up to its second `Answer:` line, where a model that never stops starts over."""
    starts = [hit.start() for hit in ANSWER.finditer(text)]
    return text[: starts[1]] if len(starts) > 1 else text


def _pass_over(lines: re.Match[str]) -> str:
    """Nothing in place of a list of several options; one letter that is only repeated stays."""
    labels = set(re.findall(r"^\s*\(?([A-Z])", lines[0], re.MULTILINE))
    return "\n" if len(labels) > 1 else lines[0]


def _hits(rule: re.Pattern[str], text: str) -> set[str]:
    return {letter for hit in rule.finditer(text) for group in hit.groups() for letter in _letters(group)}


def _letters(group: str | None) -> list[str]:
    return [letter.upper() for letter in re.findall(r"\b[A-Za-z]\b", group)] if group else []


def _named(rest: str, texts: Sequence[str]) -> set[int]:
    """The options whose texts stand in `rest` for themselves; a longer one hides those inside it."""
    found = set()
    for index in sorted(range(len(texts)), key=lambda index: -len(texts[index])):
        whole = rf"(?<![\w+\-\u2212])(?<![0-9][.,]){re.escape(texts[index])}(?!\w|[.,][0-9])"
        if texts[index] and re.search(whole, rest):
            found.add(index)
            rest = re.sub(whole, "\n", rest)
    return found


def _plain(text: str) -> str:
    """Lower case, single spaces, no quotation marks or asterisks, no full stop at the end."""
    return " ".join(re.sub(r"[\"'*]", "", plain_quotes(text)).casefold().split()).rstrip(".")
