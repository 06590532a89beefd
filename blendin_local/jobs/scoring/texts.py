"""What several scorers do to an answer before they read it.

Here: `cut_run_on`, the answer without further questions that a model which does not stop asks itself;
`plain_quotes`, straight quotation marks.
Not here: stop strings, which end an answer while it is generated (`core.text`).
"""

from __future__ import annotations

import re

NEXT_QUESTION = re.compile(
    r"^[ \t]*+[*#]*+[ \t]*+(?:question|instruction|problem|user|human|q)[ \t]*(?:[0-9]+[ \t]*)?[*]*:",
    re.IGNORECASE | re.MULTILINE,
)
ANSWER = re.compile(r"^[ \t*]*+answer[*]*+:", re.IGNORECASE | re.MULTILINE)
CHAT_MARK = re.compile(
    r"<\|?(?:im_start|user|start_header_id|start_of_turn|eot_id|im_end|endoftext)\b[^>\n]*>"
)
PLAIN = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"'})


def cut_run_on(answer: str) -> str:
    """The answer up to the next question it asks itself.

    A question at the very beginning repeats what was asked: the answer begins after its `Answer:`, or else
    with it.
    """
    start = len(answer) - len(answer.lstrip(" \t\r\n*#"))
    marks = [match for pattern in (NEXT_QUESTION, CHAT_MARK) for match in pattern.finditer(answer)]
    part = answer[: min((mark.start() for mark in marks if mark.start() > start), default=len(answer))]
    asked_again = any(mark.start() <= start < mark.end() for mark in marks)
    label = ANSWER.search(part) if asked_again else None
    return part[label.end() :] if label else part


def plain_quotes(text: str) -> str:
    """The text with straight quotation marks and apostrophes."""
    return text.translate(PLAIN)
