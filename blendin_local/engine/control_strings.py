"""Strings that a tokenizer reads as one special token, and their positions in a text.

Here: `is_markup`, which of a vocabulary's own additions have the form of markup; `ControlStrings`, a search.
Not here: which tokens a vocabulary has (`engine.vocabulary`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

KEY = 3  # leading characters that a search looks up first
MARKUP = re.compile(r"(?:<\S+>|\[\S+\]|\{\S+\}|\|\S+\||>>\S+<<)", re.DOTALL)
HTML_TAG = re.compile(
    r"""</?(?:
    a | abbr | address | article | aside | audio | b | blockquote | body | br | button | canvas |
    caption | center | cite | code | col | colgroup | dd | del | details | div | dl | dt | em | embed |
    fieldset | figcaption | figure | font | footer | form | h1 | h2 | h3 | h4 | h5 | h6 | head | header
    | hr | html | i | iframe | img | input | ins | kbd | label | legend | li | link | main | mark | meta
    | nav | object | ol | option | p | param | pre | q | s | samp | script | section | select | small |
    source | span | strike | strong | style | sub | summary | sup | svg | table | tbody | td | template
    | textarea | tfoot | th | thead | time | title | tr | tt | u | ul | var | video | wbr
    )>""",
    re.IGNORECASE | re.VERBOSE,
)


def is_markup(text: str) -> bool:
    """Whether a token that a vocabulary's makers added has the form of markup for conversations or tools.

    `<tool_call>`, `<|User|>`, `[multimodal]` have; runs of spaces, words and HTML's own elements have not.
    """
    return MARKUP.fullmatch(text) is not None and HTML_TAG.fullmatch(text) is None


class ControlStrings:
    """A set of strings, to be found in texts.

    Args:
        strings: None of them empty.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        self._strings = frozenset(strings)
        lengths: dict[str, set[int]] = defaultdict(set)
        for string in self._strings:
            lengths[string[:KEY]].add(len(string))
        self._lengths = {key: sorted(found, reverse=True) for key, found in lengths.items()}
        first = "".join(sorted({re.escape(string[0]) for string in self._strings}))
        self._first = re.compile(f"[{first}]" if first else r"(?!)", re.DOTALL)

    def at(self, text: str, start: int) -> str | None:
        """The longest of the strings that begins at `start`."""
        for size in range(KEY, 0, -1):
            for length in self._lengths.get(text[start : start + size], ()):
                if (found := text[start : start + length]) in self._strings:
                    return found
        return None

    def starts(self, text: str) -> Iterator[int]:
        """Where one begins, inside others too."""
        positions = (match.start() for match in self._first.finditer(text))
        return (start for start in positions if self.at(text, start) is not None)

    def find(self, text: str) -> Iterator[tuple[int, str]]:
        """Position and string of each, from the left, the longest first, none inside another."""
        free = 0
        for start in self.starts(text):
            found = self.at(text, start)
            if start >= free and found is not None:
                yield start, found
                free = start + len(found)
