"""A marked answer as an SVG picture (`blendin run --svg FILE`).

Here: `render_svg`, rich's own export with the program's marks.
Not here: the HTML page (`reports.answer_html`), which also holds the candidates.
"""

from __future__ import annotations

import re

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.text import Text

from blendin_local.core.records import Completion
from blendin_local.reports.answer_html import visible_parts
from blendin_local.views.answer import footer, styled_step
from blendin_local.views.theme import PICTURE, picture_console

_OUTSIDE = r"@font-face \{\{.*?\}\}\s*|<!--.*?-->\s*"
_SELF_CONTAINED = re.sub(_OUTSIDE, "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


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
    console = picture_console(width)
    if prompt:
        console.print(Text.assemble(("> ", "prompt"), (prompt, "heading")), "", sep="\n")
    parts = (styled_step(step, text) for step, text in visible_parts(completion) if text)
    console.print(Text("").join(parts), "", footer(completion, width), sep="\n")
    return console.export_svg(title=title, theme=PICTURE, code_format=_SELF_CONTAINED, unique_id="blendin")
