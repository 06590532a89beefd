"""A marked answer as an SVG picture (`blendin run --svg FILE`).

Here: `render_svg`: what a terminal shows, exported by rich. Our format of it, `assets/terminal.svg`, names no
web font, unlike rich's own.
Not here: the HTML page (`reports.answer_html`), which also holds the candidates.
"""

from __future__ import annotations

from rich.text import Text

from blendin_local.core.records import Completion
from blendin_local.reports.answer_html import shown_steps
from blendin_local.reports.html import asset
from blendin_local.views.answer import footer, styled_step
from blendin_local.views.theme import PICTURE, picture_console


def render_svg(prompt: str, completion: Completion, *, title: str = "blendin", width: int = 84) -> str:
    """The prompt, the marked answer and its footer as they look on a terminal.

    Args:
        prompt: What was asked; empty leaves the line out.
        completion: The answer.
        title: The window's title.
        width: Columns.

    Returns:
        An SVG document that names no web font and asks nothing of the network.
    """
    console = picture_console(width, "dark")
    if prompt:
        console.print(Text.assemble(("> ", "prompt"), (prompt, "heading")), "", sep="\n")
    parts = (styled_step(step, text) for step, text in shown_steps(completion) if text)
    console.print(Text("").join(parts), "", footer(completion, width), sep="\n")
    return console.export_svg(
        title=title, theme=PICTURE, code_format=asset("terminal.svg"), unique_id="blendin"
    )
