"""The skeleton of a report: one self-contained HTML page.

Here: `page`, `Section`, and `table`, all of whose texts are escaped.
Not here: the plots (`reports.plots.charts`), the page of one answer (`reports.answer_html`).
The page asks nothing of the network: its policy forbids it, style and pictures are inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title} · blendin-local</title>
<style>
{css}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="models">{subtitle}</p>
</header>
<main>
{sections}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: Its heading; empty leaves it out.
        lead: A sentence or two of plain text below it.
        blocks: Markup made by `table`, `paragraph`, `verdict`, `details` or by `reports.plots.charts`;
            several pictures stand side by side where there is room.
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
    css = "".join(
        resources.files("blendin_local.reports").joinpath("assets", name).read_text(encoding="utf-8")
        for name in ("answer.css", "report.css")
    )
    return PAGE.format(
        css=css,
        title=escape(title),
        subtitle=escape(subtitle),
        sections="\n".join(_section(section) for section in sections),
    )


def _section(section: Section) -> str:
    heading = f"<h2>{escape(section.title)}</h2>" if section.title else ""
    lead = f'<p class="lead">{escape(section.lead)}</p>' if section.lead else ""
    return f'<section class="card">{heading}{lead}{_blocks(section.blocks)}</section>'


def _blocks(blocks: Sequence[str]) -> str:
    """Blocks in order; neighbouring pictures share a row."""
    parts, row = [], ""
    for block in [*blocks, ""]:
        if block.startswith("<svg"):
            row += f"<figure>{block}</figure>"
            continue
        parts += [f'<div class="plots">{row}</div>'] if row else []
        parts.append(block)
        row = ""
    return "".join(parts)


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of plain text; `kind` is `warning`, `notice`, `summary` or nothing."""
    return f'<p class="{kind}">{escape(words)}</p>' if kind else f"<p>{escape(words)}</p>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """A table of plain texts; numbers are set so that they align, and a head of empty cells is left out."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(_cell(cell, i) for i, cell in enumerate(row))}</tr>" for row in rows)
    name = f"<caption>{escape(caption)}</caption>" if caption else ""
    names = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return f'<div class="scroll"><table>{name}{names}<tbody>{body}</tbody></table></div>'


def _cell(words: str, column: int) -> str:
    if column == 0:
        return f'<th scope="row">{escape(words)}</th>'
    is_number = words[:1].isdigit() or words[:1] in {"-", "+", "−", "–", "<", ">"}  # noqa: RUF001 - minus and dash
    return f'<td class="number">{escape(words)}</td>' if is_number else f"<td>{escape(words)}</td>"


def details(summary: str, blocks: Sequence[str]) -> str:
    """Blocks that open on demand."""
    return f"<details><summary>{escape(summary)}</summary>{_blocks(blocks)}</details>"


def preformatted(words: str) -> str:
    """Plain text in the shape it has."""
    return f"<pre>{escape(words)}</pre>"
