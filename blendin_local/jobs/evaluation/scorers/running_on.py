"""Where an answer ends and a model that never stops begins to ask itself the next question.

Here: `own_part`, which every scorer that looks for a final answer reads.
Not here: stop strings, which end an answer while it grows (`core.text`).
"""

from __future__ import annotations

import re

NEXT_QUESTION = re.compile(
    r"^[ \t]*+[*#]*+[ \t]*+(?:question|instruction|problem|user|human|q)[ \t]*(?:[0-9]+[ \t]*)?[*]*:",
    re.IGNORECASE | re.MULTILINE,
)
CHAT_MARK = re.compile(
    r"<\|?(?:im_start|user|start_header_id|start_of_turn|eot_id|im_end|endoftext)\b[^>\n]*>"
)


def own_part(answer: str) -> str:
    """The answer up to the next question it asks itself.

    A question at the very beginning is the model repeating what it was asked, and stays.
    """
    start = len(answer) - len(answer.lstrip(" \t\r\n*#"))
    ends = [
        match.start()
        for pattern in (NEXT_QUESTION, CHAT_MARK)
        for match in pattern.finditer(answer)
        if match.start() > start
    ]
    return answer[: min(ends, default=len(answer))]
