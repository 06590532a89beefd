"""The colours of the terminal, of pictures and of HTML pages, for light and for dark backgrounds.

Here: `LIGHT` and `DARK`, and `theme_for`, which chooses between them by the contrast that they have on a
background. Each colour has a contrast of at least 4.5:1 (WCAG 2.2, level AA) on every background of its
theme; a test computes it.
Not here: which attributes go with a colour (`views.theme`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Literal

from blendin_local.settings import ThemeChoice

ThemeName = Literal["light", "dark", "mono"]
Rgb = tuple[int, int, int]
MIN_CONTRAST = 4.5
_CUBE = (0, 95, 135, 175, 215, 255)  # the levels of red, green and blue in colours 16 to 231


@dataclass(frozen=True)
class Palette:
    """One colour per meaning, as a number of the 256 colours of xterm.

    Only 16 and above: the colours below are what each terminal makes of them. Solarized shows grey for bright
    cyan, and no colour of the sixteen can be read on all common backgrounds.

    Attributes:
        changed: A step that the guide changed.
        guide: The guide's column in a table.
        medium: A step of medium probability.
        low: One of low probability.
        lowest: One of the lowest.
        quiet: What stands around an answer.
        warning: A warning.
        error: An error.
        prompt: The sign before the user's input.
        code: Code in an answer.
    """

    changed: int
    guide: int
    medium: int
    low: int
    lowest: int
    quiet: int
    warning: int
    error: int
    prompt: int
    code: int

    def hex(self, name: str) -> str:
        """A colour as `#5fd7ff`."""
        return hex_color(rgb_of(getattr(self, name)))


LIGHT = Palette(
    changed=24,
    guide=91,
    medium=94,
    low=124,
    lowest=90,
    quiet=241,
    warning=94,
    error=124,
    prompt=22,
    code=22,
)
DARK = Palette(
    changed=81,
    guide=183,
    medium=221,
    low=210,
    lowest=213,
    quiet=247,
    warning=221,
    error=210,
    prompt=114,
    code=114,
)
PALETTES: Mapping[ThemeName, Palette] = {"dark": DARK, "light": LIGHT}


def theme_for(choice: ThemeChoice, background: Rgb | None = None, colorfgbg: str = "") -> ThemeName:
    """The theme to use; `mono` where no palette can be read on the background, or it is not known.

    Args:
        choice: What the user asked for; anything but `auto` is taken as it is.
        background: What the terminal answered; None if it did not.
        colorfgbg: The environment variable COLORFGBG, such as `15;0`, where the terminal did not answer.
    """
    if choice != "auto":
        return choice
    behind = background or _background_of(colorfgbg)
    if behind is None:
        return "mono"
    worst = {name: min(contrast(rgb_of(n), behind) for n in astuple(p)) for name, p in PALETTES.items()}
    best = max(worst, key=lambda name: worst[name])
    return best if worst[best] >= MIN_CONTRAST else "mono"


def _background_of(colorfgbg: str) -> Rgb | None:
    """Black or white: the variable names one of sixteen colours, of which 0 to 6 and 8 are dark."""
    number = colorfgbg.rpartition(";")[2]
    if not (number.isdecimal() and len(number) <= 2 and int(number) < 16):
        return None
    return (0, 0, 0) if int(number) in {*range(7), 8} else (255, 255, 255)


def rgb_of(number: int) -> Rgb:
    """Red, green and blue, 0 to 255, of a colour from 16 to 255 of xterm's palette."""
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return grey, grey, grey
    red, rest = divmod(number - 16, 36)
    green, blue = divmod(rest, 6)
    return _CUBE[red], _CUBE[green], _CUBE[blue]


def hex_color(rgb: Rgb) -> str:
    """`#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def contrast(one: Rgb, other: Rgb) -> float:
    """Contrast ratio of two colours, 1 to 21: (L1 + 0.05) / (L2 + 0.05), L1 the lighter (WCAG 2.2)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(rgb: Rgb) -> float:
    """Relative luminance, 0 for black to 1 for white: 0.2126 R + 0.7152 G + 0.0722 B, linear (WCAG 2.2)."""
    parts = [value / 255 for value in rgb]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
