"""Small repairs that several scorers make before they read an answer.

Here: typographic quotation marks made plain.
Not here: where an answer ends (`running_on`).
"""

from __future__ import annotations

PLAIN = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"'})


def plain_quotes(text: str) -> str:
    """The text with straight quotation marks and apostrophes."""
    return text.translate(PLAIN)
