"""A marked answer as an SVG picture (`blendin run --svg FILE`).

Here: `render_svg`: what a terminal shows, exported by rich, in light and dark colours; the theme of whoever
looks at it decides. Our format of it, `assets/terminal.svg`, names no web font, unlike rich's own.
Not here: the HTML page (`reports.answer_html`), which also holds the candidates.
"""

from __future__ import annotations

import re

from rich.text import Text

from blendin_local.core.records import Completion
from blendin_local.reports.html import asset
from blendin_local.views.answer import footer, shown_decisions, styled_step
from blendin_local.views.palette import ThemeName
from blendin_local.views.theme import PICTURES, picture_console

_STYLES = re.compile(r"/\* colours \*/(.*?)/\* end \*/", re.S)


def render_svg(prompt: str, completion: Completion, *, title: str = "blendin", width: int = 84) -> str:
    """The prompt, the marked answer and its footer as they look on a terminal.

    The picture is drawn in both themes; they differ in their style sheets only, so one file holds both.

    Args:
        prompt: What was asked; empty leaves the line out.
        completion: The answer.
        title: The window's title.
        width: Columns.

    Returns:
        An SVG document that names no web font and asks nothing of the network.
    """
    light, dark = (_draw(prompt, completion, title, width, theme) for theme in ("light", "dark"))
    [dark_styles] = _STYLES.findall(dark)
    return _STYLES.sub(
        lambda found: f"{found[1]}@media (prefers-color-scheme: dark) {{{dark_styles}}}", light, count=1
    )


def _draw(prompt: str, completion: Completion, title: str, width: int, theme: ThemeName) -> str:
    console = picture_console(width, theme)
    if prompt:
        console.print(Text.assemble(("> ", "prompt"), (prompt, "heading")), "", sep="\n")
    parts = (styled_step(step, text) for step, text in shown_decisions(completion) if text)
    console.print(Text("").join(parts), "", footer(completion, width), sep="\n")
    colors = PICTURES[theme]
    frame = f".terminal > rect {{ fill: {colors.background_color.hex}; stroke: #80808080; }}"
    name = f".blendin-title {{ fill: {colors.foreground_color.hex}; }}"
    picture = asset("terminal.svg").replace("FRAME", f"{frame} {name}".replace("{", "{{").replace("}", "}}"))
    return console.export_svg(title=title, theme=colors, code_format=picture, unique_id="blendin")
