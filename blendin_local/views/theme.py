"""The styles of the terminal, and the consoles.

Here: every colour of the terminal, and when colours are used (`--color`, NO_COLOR, FORCE_COLOR, TERM=dumb).
Not here: what is shown (`views.answer`). HTML pages have the same roles in `reports/assets/`.
Every mark has an attribute as well as a colour, so that it can be seen under NO_COLOR.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.terminal_theme import TerminalTheme
from rich.text import Text
from rich.theme import Theme

from blendin_local.views.streams import lasting_stderr, naming_stdout
from blendin_local.views.visible import escape_controls

ColorChoice = Literal["auto", "on", "off"]

THEME = Theme(
    {
        # where a step comes from
        "source.base": "none",
        "source.kept": "dim underline",
        "source.changed": "bold underline bright_cyan",
        "source.guide": "none",
        # the top-1 probability of the leading model, for the view `prob`
        "prob.high": "none",
        "prob.medium": "italic yellow",
        "prob.low": "underline bright_red",
        "prob.lowest": "bold underline bright_magenta",
        # Markdown in an answer
        "md.heading": "bold",
        "md.strong": "bold",
        "md.emphasis": "italic",
        "md.code": "blue",
        "md.link": "none",
        "md.mark": "dim",
        # in tables
        "end": "bold reverse",
        "escape": "reverse",
        "invisible": "dim",
        "winner": "bold bright_cyan",
        "role.base": "bold",
        "role.guide": "bold magenta",
        "role.blend": "bold bright_cyan",
        "heading": "bold",
        "faint": "dim",
        # around the answer
        "footer": "dim",
        "notice": "italic",
        "warning": "bold yellow",
        "error": "bold red",
        "hint": "dim",
        "prompt": "bold green",
    }
)


# The sixteen colours of a terminal in an exported picture.
PICTURE = TerminalTheme(
    background=(27, 30, 36),
    foreground=(222, 224, 228),
    normal=[
        (40, 44, 52),
        (224, 108, 117),
        (152, 195, 121),
        (229, 192, 123),
        (97, 175, 239),
        (198, 120, 221),
        (86, 182, 194),
        (222, 224, 228),
    ],
    bright=[
        (110, 118, 130),
        (255, 135, 142),
        (181, 224, 150),
        (255, 216, 150),
        (140, 200, 255),
        (222, 160, 240),
        (94, 226, 244),
        (255, 255, 255),
    ],
)


class SafeConsole(Console):
    """A console that makes control characters visible in every text it is given."""

    def print(self, *objects: Any, **how: Any) -> None:  # noqa: ANN401 - rich's own arguments
        """Print as rich does; an error names the stream that failed (stderr never fails)."""
        with naming_stdout():
            super().print(*objects, **how)

    def input(self, prompt: str | Text = "", **how: Any) -> str:  # noqa: ANN401 - rich's own arguments
        """Ask for a line of input; the prompt is never read as markup."""
        return super().input(prompt, **{**how, "markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of a renderable, with control characters in their texts made visible."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_controls(segment.text), segment.style)

    def render_str(self, text: str, **how: Any) -> Text:  # noqa: ANN401 - rich's own arguments
        """A string as rich reads it, escaped before its width is measured."""
        return super().render_str(escape_controls(text), **how)

    def out(self, *objects: Any, end: str = "\n", **how: Any) -> None:  # noqa: ANN401 - likewise
        """Print lines without wrapping; these do not pass through `render`."""
        super().out(*(escape_controls(str(thing)) for thing in objects), end=escape_controls(end), **how)


@dataclass(frozen=True)
class Consoles:
    """Where the program writes: the answer to `out`, everything else to `err`."""

    out: Console
    err: Console


def make_console(stream: TextIO, color: ColorChoice = "auto") -> Console:
    """A console on `stream` with the program's theme.

    Args:
        stream: Where it writes. Characters that its encoding lacks are replaced.
        color: `auto` follows NO_COLOR, FORCE_COLOR and TERM; `on` marks even in a pipe; `off` uses no
            colour, but keeps bold and underline on a terminal.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    return SafeConsole(
        file=stream,
        theme=THEME,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=True if color == "on" else None,
        no_color={"auto": None, "on": False, "off": True}[color],
    )


def make_consoles(color: ColorChoice = "auto") -> Consoles:
    """The consoles of stdout and stderr. The program continues if stderr is closed or full."""
    return Consoles(make_console(sys.stdout, color), make_console(lasting_stderr(), color))


def picture_console(width: int) -> Console:
    """A console that records what is printed, to be exported as a picture."""
    return SafeConsole(
        record=True,
        file=io.StringIO(),
        theme=THEME,
        width=width,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        markup=False,
        emoji=False,
    )
