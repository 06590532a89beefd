"""A report as one self-contained HTML page, made of sections and blocks.

Here: `page` and `Section`; the blocks `paragraph`, `verdict`, `table`, `preformatted` and `details`.
Not here: the templates (`reports.html`), the plots (`reports.plots.charts`), the page of one answer
(`reports.answer_html`).
A page asks nothing of the network: its policy forbids it, and styles and pictures are inside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from blendin_local.reports.html import block, render
from blendin_local.settings import LATER_FIELDS

ParagraphKind = Literal["", "good", "warning", "notice", "summary"]


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: Its heading; empty leaves it out.
        lead: A sentence or two of plain text below it.
        blocks: The output of the functions below, and plots of `reports.plots.charts`. Plots that follow each
            other share a row where there is room. A plain string is shown as text.
    """

    title: str
    lead: str = ""
    blocks: Sequence[str] = ()


def page(title: str, sections: Sequence[Section], *, subtitle: str = "") -> str:
    """The whole page.

    Args:
        title: Plain text.
        sections: From top to bottom.
        subtitle: A line of plain text: the models, the settings.
    """
    return render("report.html", title=title, subtitle=subtitle, sections=sections)


def paragraph(text: str, kind: ParagraphKind = "") -> Markup:
    """A paragraph of plain text."""
    return block("paragraph", text, kind)


def verdict(kind: ParagraphKind, name: str, reasons: Sequence[str], advice: str = "") -> Markup:
    """A verdict in bold, a line for each reason, and advice in italics; all plain text."""
    return block("verdict", kind, name, reasons, advice)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> Markup:
    """A table of plain texts; the first cell of a row is its heading.

    Args:
        head: Column headings; left out where all are empty.
        rows: Cells.
        caption: A line above the table.
    """
    return block("table", head, rows, caption)


def preformatted(text: str) -> Markup:
    """Plain text that keeps its line breaks and spaces."""
    return block("preformatted", text)


def details(summary: str, blocks: Sequence[str]) -> Markup:
    """Blocks that open on demand."""
    return block("details", summary, blocks)


def blend_settings(signature: Mapping[str, Any]) -> list[str]:
    """`method blendin`, `threshold 0.4`, `alpha auto`, `dial 1.5`, as far as the signature has them."""
    blend = signature.get("blend", {})
    names = ("method", "threshold", "alpha", *LATER_FIELDS)
    return [f"{name.replace('_', ' ')} {blend[name]}" for name in names if name in blend]
