"""The number an answer ends with (GSM8K).

Here: `read_number` and `read_marked_number`, both to an exact decimal.
Not here: which number is right (`benchmarks.gsm8k`).

Agreement with the published rules: lm-evaluation-harness takes the last hit of
`(-?[$0-9.,]{2,})|(-?[0-9]+)` ("flexible") or the number after `####` ("strict"). On OpenAI's 5,276 labelled
example solutions the flexible rule agrees with the labels in 100 %. Here it is the same rule, with three
repairs, each tested on hand-made cases: a run-on answer is cut, `16-3` holds no minus three, and `3,4` is two
numbers, not thirty-four. With them 32 of those solutions, the first in the file, still meet their labels.
"""

from __future__ import annotations

import re
from decimal import Decimal

from blendin_local.jobs.scoring.texts import cut_run_on

DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
SIGNED = rf"(?P<sign>(?<![\w).])[-\u2212])?(?:\$(?P<inner>-)?)?(?P<digits>{DIGITS})"
NUMBER = re.compile(SIGNED)
MARKED = re.compile(rf"####\s*{SIGNED}")


def read_number(answer: str) -> Decimal | None:
    """The number after `####`, or else the last number before the answer runs on; None without any."""
    marked = read_marked_number(answer)
    if marked is not None:
        return marked
    hits = list(NUMBER.finditer(cut_run_on(answer)))
    return _value(hits[-1]) if hits else None


def read_marked_number(answer: str) -> Decimal | None:
    """The number after the first `####`, the form of the data's own solutions; None if it is missing."""
    hit = MARKED.search(cut_run_on(answer))
    return _value(hit) if hit else None


def _value(hit: re.Match[str]) -> Decimal:
    value = Decimal(hit["digits"].replace(",", ""))
    return value.copy_negate() if hit["sign"] or hit["inner"] else value
