"""How many columns characters take, and where a line may end.

Here: `columns`, `continues_cluster`, `may_break`: the parts of UAX 14 and UAX 29 that a terminal needs.
Not here: layout (`views.streaming.wrapping`).

Terminals disagree about sequences of emoji: some show a family joined by ZWJ in two columns, others in six.
The widths here are the largest that a terminal may use, the sum over the characters, so a line that fits by
this count fits everywhere. They come from wcwidth, which prompt_toolkit uses too: rich gives flags and skin
tones the widths that they have in the newest terminals only.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from wcwidth import wcwidth

TAB_COLUMNS = 8
# Spaces at which a line may end; a no-break space is none. U+200B has no width.
SPACES = frozenset(" \t\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u200b\u205f\u3000")
EMOJI_STYLE = "\ufe0f"  # VS16: the character before it is shown as an emoji, two columns wide
_JOINER = "\u200d"
_SKIN_TONES = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
_REGIONAL = frozenset(map(chr, range(0x1F1E6, 0x1F200)))  # two of them are a flag
_NO_LINE_BEGINS = frozenset(
    "!%),.:;?]}'\"-–—…·¢°′″℃‰"
    "、。，．：；！？％～・ー々〻ゝゞヽヾ〜゠"
    "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ"
)
_NO_LINE_ENDS = frozenset("'\"$£¥￥＄￡#＃")
_HANGUL = ((0x1100, 0x1200), (0x3130, 0x3190), (0xA960, 0xA980), (0xAC00, 0xD800))
FIRST_WIDE = "\u1100"  # characters before it take at most one column each, and cannot begin an emoji


@lru_cache(maxsize=4096)
def char_columns(char: str) -> int:
    """The columns of one character: 0, 1 or 2; one for a character that wcwidth does not know."""
    width = wcwidth(char)
    return 1 if width < 0 else width


def columns(text: str) -> int:
    """The columns of a text without tabs, at most."""
    if text.isascii():
        return len(text)
    return sum(map(char_columns, text)) + text.count(EMOJI_STYLE)


def space_columns(spaces: str, column: int) -> int:
    """The columns that spaces and tabs take from a column on."""
    start = column
    for char in spaces:
        column += TAB_COLUMNS - column % TAB_COLUMNS if char == "\t" else char_columns(char)
    return column - start


def continues_cluster(cluster: str, char: str) -> bool:
    """Whether a character belongs to the visible character before it: an accent, a skin tone, half a flag."""
    if char < "\u0300":
        return False
    if char_columns(char) == 0 or cluster[-1] == _JOINER or char in _SKIN_TONES:
        return True
    return char in _REGIONAL and len(cluster) == 1 and cluster in _REGIONAL


def may_grow(cluster: str) -> bool:
    """Whether characters that come later may make a cluster wider: an emoji may get a skin tone."""
    return cluster[0] >= FIRST_WIDE


def may_break(before: str, char: str) -> bool:
    """Whether a line may end between two clusters that no space separates.

    It may beside ideographs, kana and emoji, but no line begins with closing punctuation or ends with an
    opening bracket. Korean is written with spaces and kept whole between them.

    Args:
        before: The cluster before the place.
        char: The character after it.
    """
    if before[0] < FIRST_WIDE and char < FIRST_WIDE:
        return False
    return _beside_ideograph(before[0], char)


@lru_cache(maxsize=4096)
def _beside_ideograph(before: str, char: str) -> bool:
    if not (_is_ideographic(before) or _is_ideographic(char)):
        return False
    closes = char in _NO_LINE_BEGINS or unicodedata.category(char) in {"Pe", "Pf"}
    opens = before in _NO_LINE_ENDS or unicodedata.category(before) in {"Ps", "Pi"}
    return not (closes or opens)


def _is_ideographic(char: str) -> bool:
    return char_columns(char) == 2 and not any(low <= ord(char) < high for low, high in _HANGUL)
