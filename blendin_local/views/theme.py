"""The styles of the terminal, and the consoles.

Here: the styles, and when colours and marks are used (`--color`, `--theme`, `--marks`, NO_COLOR, FORCE_COLOR,
TERM=dumb).
Not here: the colours (`views.palette`), what is shown (`views.answer`).
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.terminal_theme import TerminalTheme
from rich.text import Text
from rich.theme import Theme

from blendin_local.settings import MarkChoice, TerminalSettings
from blendin_local.views.palette import PALETTES, Rgb, ThemeName
from blendin_local.views.streams import lasting_stderr, naming_stdout
from blendin_local.views.visible import escape_controls

ColorChoice = Literal["auto", "on", "off"]
MarkKind = Literal["styles", "ascii", "none"]

# The attributes of each style, and the name of its colour in the palettes. Every mark has an attribute, so
# that it can be seen without colours. None is dim: that greys out, on some terminals beyond reading.
STYLES: Mapping[str, tuple[str, str]] = {
    # where a step comes from
    "source.base": ("", ""),
    "source.kept": ("underline", ""),
    "source.changed": ("bold underline", "changed"),
    "source.guide": ("", ""),
    "source.chosen": ("bold", "prompt"),
    "source.given": ("", "quiet"),
    "source.forced": ("italic", "quiet"),
    # the top-1 probability of the leading model, for the view `prob`
    "prob.high": ("", ""),
    "prob.medium": ("italic", "medium"),
    "prob.low": ("underline", "low"),
    "prob.lowest": ("bold underline", "lowest"),
    # Markdown in an answer
    "md.heading": ("bold", ""),
    "md.strong": ("bold", ""),
    "md.emphasis": ("italic", ""),
    "md.code": ("", "code"),
    "md.link": ("", ""),
    "md.mark": ("", "quiet"),
    # in tables
    "end": ("bold reverse", ""),
    "escape": ("reverse", ""),
    "invisible": ("", "quiet"),
    "winner": ("bold", ""),
    "role.base": ("bold", ""),
    "role.guide": ("bold", "guide"),
    "role.blend": ("bold", ""),
    "heading": ("bold", ""),
    "faint": ("", "quiet"),
    # around the answer
    "footer": ("", "quiet"),
    "notice": ("italic", ""),
    "warning": ("bold", "warning"),
    "error": ("bold", "error"),
    "hint": ("", "quiet"),
    "prompt": ("bold", "prompt"),
    # rich's own, in progress bars and questions
    "bar.back": ("", "quiet"),
    "bar.complete": ("", "changed"),
    "bar.finished": ("", "prompt"),
    "bar.pulse": ("", "changed"),
    "progress.data.speed": ("", "quiet"),
    "progress.download": ("", "quiet"),
    "progress.elapsed": ("", "quiet"),
    "progress.filesize": ("", "quiet"),
    "progress.filesize.total": ("", "quiet"),
    "progress.percentage": ("", "quiet"),
    "progress.remaining": ("", "quiet"),
    "progress.spinner": ("", "changed"),
    "prompt.choices": ("bold", ""),
    "prompt.default": ("bold", ""),
}


def rich_theme(name: ThemeName) -> Theme:
    """The styles with the colours of a theme; attributes alone for `mono`."""
    palette = PALETTES.get(name)

    def described(attributes: str, color: str) -> str:
        return f"{attributes} color({getattr(palette, color)})" if palette and color else attributes or "none"

    return Theme({style: described(*parts) for style, parts in STYLES.items()})


def _picture(background: Rgb, foreground: Rgb) -> TerminalTheme:
    return TerminalTheme(background, foreground, normal=[foreground] * 8)  # none of the sixteen is used


PICTURES: Mapping[ThemeName, TerminalTheme] = {
    "light": _picture((251, 250, 248), (29, 33, 38)),
    "dark": _picture((27, 30, 36), (222, 224, 228)),
}
"""The terminal of an exported picture, in each theme."""


class SafeConsole(Console):
    """A console that makes control characters visible in every text it is given.

    Attributes:
        marks: How it marks the steps of an answer.
    """

    marks: MarkKind = "styles"

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
    """Where the program writes: the answer to `out`, everything else to `err`.

    Attributes:
        out: For answers.
        err: For everything else.
        settings: How the user wants an answer to look.
    """

    out: Console
    err: Console
    settings: TerminalSettings = field(default_factory=TerminalSettings)


def make_console(
    stream: TextIO, color: ColorChoice = "auto", theme: ThemeName = "mono", marks: MarkChoice = "auto"
) -> Console:
    """A console on `stream` with the program's styles.

    Args:
        stream: Where it writes. Characters that its encoding lacks are replaced.
        color: `auto` follows NO_COLOR, FORCE_COLOR and TERM; `on` marks even in a pipe; `off` uses no
            colour, but keeps bold and underline on a terminal.
        theme: Which colours; a terminal of sixteen colours or fewer gets none.
        marks: As in `TerminalSettings`.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    console = SafeConsole(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=True if color == "on" else None,
        no_color={"auto": None, "on": False, "off": True}[color],
    )
    if console.is_dumb_terminal:
        _measure(console, stream)
    dress(console, theme, marks)
    return console


def _measure(console: Console, stream: TextIO) -> None:
    """Set the size of a dumb terminal, which rich takes to have 80 columns, to what the system says."""
    with suppress(OSError, ValueError):  # a stream without a file descriptor, or not of a terminal
        found = os.get_terminal_size(stream.fileno())
        if found.columns > 0 and "COLUMNS" not in os.environ:
            console.size = ConsoleDimensions(found.columns, found.lines)


def dress(console: Console, theme: ThemeName, marks: MarkChoice) -> None:
    """Give a console other colours and marks, from the next text on."""
    console.push_theme(rich_theme(theme if has_palette(console) else "mono"), inherit=False)
    if isinstance(console, SafeConsole):
        console.marks = _mark_kind(console, marks)


def has_palette(console: Console) -> bool:
    """Whether a console shows colours that are the same on every terminal, not just the sixteen."""
    return console.color_system in {"256", "truecolor"}


def _mark_kind(console: Console, marks: MarkChoice) -> MarkKind:
    if marks in {"off", "ascii"}:
        return "none" if marks == "off" else "ascii"
    if console.is_terminal and not console.is_dumb_terminal:
        return "styles"
    return "ascii" if marks == "on" else "none"


def mark_kind(console: Console) -> MarkKind:
    """How a console marks the steps of an answer."""
    return console.marks if isinstance(console, SafeConsole) else "styles"


def make_consoles(
    color: ColorChoice = "auto", theme: ThemeName = "mono", settings: TerminalSettings | None = None
) -> Consoles:
    """The consoles of stdout and stderr. The program continues if stderr is closed or full.

    Args:
        color: As in `make_console`.
        theme: Which colours.
        settings: What the user asked for.
    """
    settings = settings or TerminalSettings()
    return Consoles(
        make_console(sys.stdout, color, theme, settings.marks),
        make_console(lasting_stderr(), color, theme, settings.marks),
        settings,
    )


def picture_console(width: int, theme: ThemeName) -> Console:
    """A console that records what is printed, to be exported as a picture."""
    return SafeConsole(
        record=True,
        file=io.StringIO(),
        theme=rich_theme(theme),
        width=width,
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
