"""What the marks in an answer mean, in a line or two.

Here: `legend` for each view and each kind of mark.
Not here: the marks themselves (`views.answer`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text

from blendin_local.core.percent import percent
from blendin_local.views.answer import ASCII_MARKS, PROB_BANDS, View
from blendin_local.views.theme import MarkKind

SOURCE_MEANINGS = {
    "source.changed": ("changed", " by the guide"),
    "source.kept": ("kept", " though the guide was asked"),
    "source.base": ("plain", ": not asked"),
}
FORM_MEANING = ("forced", " by the form")
PROB_MEANING = "The base's top-1 probability (the guide's where it answers alone):"


def legend(view: View, marks: MarkKind = "styles", width: int = 80, *, has_form: bool = False) -> Text:
    """What the marks of a view mean, each shown as it looks in an answer.

    Args:
        view: The view.
        marks: How the console marks steps.
        width: Columns; lines end between items.
        has_form: Whether answers have a prescribed form, which writes text of its own.
    """
    if view == "plain":
        return Text("No marks.")
    if marks == "none":
        return Text("Marks are off here; /set marks on shows them as [changed] and _kept_.")
    items = list(_source(marks) if view == "source" else _prob(marks))
    if has_form:
        word, meaning = FORM_MEANING
        items.append(_sample(word, "source.forced", marks).append(meaning))
    lead = [] if view == "source" else [Text(PROB_MEANING)]
    return Text("\n").join([*lead, *_lines(items, width)])


def _lines(items: Iterable[Text], width: int) -> list[Text]:
    """Items joined by dots, in as few lines as they fit into."""
    lines: list[Text] = []
    for item in items:
        longer = Text(" · ").join([lines[-1], item]) if lines else item
        if lines and longer.cell_len <= width:
            lines[-1] = longer
        else:
            lines.append(item)
    return lines


def _source(marks: MarkKind) -> Iterator[Text]:
    for style, (word, meaning) in SOURCE_MEANINGS.items():
        yield _sample(word, style, marks).append(meaning)


def _prob(marks: MarkKind) -> Iterator[Text]:
    above = 1.0
    for style, least in PROB_BANDS.items():
        if above == 1.0:
            words = f"{percent(least, 0)} or more"
        elif least == 0:
            words = f"below {percent(above, 0)}"
        else:
            words = f"from {percent(least, 0)}"
        above = least
        yield _sample(words, style, marks)


def _sample(word: str, style: str, marks: MarkKind) -> Text:
    """A word marked as a step of this style is."""
    opening, closing = ASCII_MARKS.get(style, ("", "")) if marks == "ascii" else ("", "")
    return Text.assemble((f"{opening}{word}{closing}", "none" if marks == "ascii" else style))
