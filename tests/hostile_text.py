"""A text of terminal controls and reordering characters, and what of such gets through to an output."""

import re
import unicodedata

HOSTILE = (
    "\x1b]0;pwned\x07\x1b[2J\x9b31m\x9d0;pwned\x9c\x7f\x08\x08\r[red]x[/red][/]"
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{LEFT-TO-RIGHT ISOLATE}\N{LINE SEPARATOR}\udce9\ud800\x00"
)
OURS = re.compile(
    r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[\d?[AGK]|\x1b\[2K|\r"
)  # SGR, and a progress bar's cursor
# SGR, and a progress bar's cursor
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def raw_controls(written):
    """What of a program's output is neither text nor a mark of ours."""
    left = OURS.sub("", written)
    bad = {"Cc", "Cs", "Zl", "Zp"}
    return [
        char
        for char in left
        if char != "\n" and (unicodedata.category(char) in bad or unicodedata.bidirectional(char) in BIDI)
    ]
