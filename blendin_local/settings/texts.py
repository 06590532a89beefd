"""Settings whose value is a whole text that people keep in files: a JSON Schema, a grammar.

Here: `WholeText`, which says of such a setting what a text itself looks like.
Not here: reading a file that is named instead (`grammar.source`), which settings these are
(`settings.table`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WholeText:
    """Says that the value of a setting is a whole text, and how the text is told from the name of a file.

    A file may be named on the command line, in a chat and in models.toml, where a person writes. Rows of a
    batch, requests to a server and Python have the text itself: what others send must not read files.

    Attributes:
        metavar: What help shows in the place of a value.
        beginning: What a text itself begins with, after white space; what begins otherwise names a file.
            None if no file can be named.
        json: Whether it is JSON, so that a row may have the value itself instead of its text.
    """

    metavar: str
    beginning: re.Pattern[str] | None = None
    json: bool = False

    def names_file(self, value: str) -> bool:
        """Whether a value that a person wrote is the name of a file, not the text."""
        return self.beginning is not None and self.beginning.match(value) is None


JSON_SCHEMA = WholeText("FILE|JSON", re.compile(r"\s*[{\[\"]|\s*(?:true|false)\s*\Z"), json=True)
REGEX = WholeText("REGEX")
GRAMMAR = WholeText("FILE", re.compile(r"(?s:.*)::=|(?s:.*)\n|\s*(?:start\s*:|%llguidance\b)"))
"""The text itself has a rule of GBNF, more than one line, or the first rule of Lark."""
