"""A terminal emulator for the tests of growing text, and text to show on it."""

from __future__ import annotations

import pyte
from hypothesis import strategies as st

from blendin_local.views.streaming.pieces import EraseBack, Piece

FAMILY, FLAG, THUMB, HEART = "👨\u200d👩\u200d👧", "🇩🇪", "👍🏽", "❤\ufe0f"
WORDS = st.one_of(
    st.text("abcdefg", min_size=1, max_size=12),
    st.sampled_from(
        ["a", "x" * 17, "https://example.org/a/rather/long/address", "caf\u0065\u0301", "naïve,"]
    ),
    st.text("日本語かな、。「」", min_size=1, max_size=10),
    st.sampled_from([FAMILY, FLAG, THUMB, HEART, f"so{HEART}", FLAG * 3, f"({FAMILY})", "한국어", "Привет"]),
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs", "Cf"]), min_size=1, max_size=8),
)
PROSE = st.lists(st.tuples(WORDS, st.sampled_from([" ", " ", " ", "  ", "\t", "\n", "\n\n"]))).map(
    lambda pairs: "".join(word + space for word, space in pairs)
)


def cut(text, places):
    """The text in parts that end at these places."""
    ends = sorted({min(place, len(text)) for place in places} | {len(text)})
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False) if a < b]


def written(operations):
    """Operations as a terminal gets them, without styles."""
    return "".join(
        f"\x1b[{one.columns}D\x1b[K" if isinstance(one, EraseBack) else one.text for one in operations
    )


def plain(operations):
    """The text of operations that only append."""
    assert all(isinstance(one, Piece) for one in operations)
    return "".join(one.text for one in operations)


class Emulator:
    """A terminal of so many columns; rows that scroll off are kept."""

    def __init__(self, columns, lines=400):
        self.screen = pyte.Screen(columns, lines)
        self.screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.Stream(self.screen)

    def feed(self, text):
        self._stream.feed(text)

    def rows(self):
        """The rows that were written, without the spaces at their ends."""
        rows = [row.rstrip() for row in self.screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows
