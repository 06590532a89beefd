"""Colours that can be read: the contrast of every style of every theme, computed on many backgrounds."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from rich.color import Color, ColorType

from blendin_local.views.palette import DARK, LIGHT, PALETTES, theme_for
from blendin_local.views.theme import STYLES, rich_theme

BACKGROUNDS = {
    "dark": {
        "black": "#000000",
        "VS Code dark": "#1e1e1e",
        "One Dark": "#282c34",
        "Dracula": "#282a36",
        "Tango": "#2e3436",
        "Nord": "#2e3440",
        "Ubuntu": "#300a24",
        "Gruvbox dark": "#282828",
        "Solarized dark": "#002b36",
        "our pictures": "#1b1e24",
        "our pages": "#15171a",
        "cards of our pages": "#1d2024",
    },
    "light": {
        "white": "#ffffff",
        "grey white": "#f5f5f5",
        "Tango light": "#eeeeec",
        "cream": "#fffbf0",
        "Gruvbox light": "#fbf1c7",
        "Solarized light": "#fdf6e3",
        "our pages": "#fbfaf8",
    },
}
SIXTEEN = {
    "solarized": (
        "#073642 #dc322f #859900 #b58900 #268bd2 #d33682 #2aa198 #eee8d5",
        "#002b36 #cb4b16 #586e75 #657b83 #839496 #6c71c4 #93a1a1 #fdf6e3",
    ),
    "xterm": (
        "#000000 #cd0000 #00cd00 #cdcd00 #0000ee #cd00cd #00cdcd #e5e5e5",
        "#7f7f7f #ff0000 #00ff00 #ffff00 #5c5cff #ff00ff #00ffff #ffffff",
    ),
}
BEHIND_SIXTEEN = {"solarized": ("#002b36", "#fdf6e3"), "xterm": ("#000000", "#ffffff")}


def rgb(text):
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


def channel(value):
    part = value / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def contrast(one, other):
    """WCAG 2.2, written again from the standard: (L1 + 0.05) / (L2 + 0.05), the lighter first."""
    low, high = sorted(
        0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b) for r, g, b in (one, other)
    )
    return (high + 0.05) / (low + 0.05)


def test_the_formula_gives_what_the_standard_says():
    """Black on white is 21:1, and #767676 on white is the well-known 4.54:1."""
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast(rgb("#767676"), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", BACKGROUNDS)
@pytest.mark.parametrize("style", STYLES)
def test_every_style_can_be_read_on_every_background(theme, style):
    """At least 4.5:1, as the terminal will show it; a style without a colour has the user's own."""
    color = rich_theme(theme).styles[style].color
    if color is None:
        assert STYLES[style][1] == ""
        return
    shown = tuple(color.get_truecolor())
    for name, background in BACKGROUNDS[theme].items():
        assert contrast(shown, rgb(background)) >= 4.5, name


@pytest.mark.parametrize("theme", ["light", "dark", "mono"])
def test_no_style_is_dim_and_every_mark_has_an_attribute(theme):
    """Dim greys out; a mark that is a colour alone is not there for everybody."""
    styles = rich_theme(theme).styles
    assert not any(styles[name].dim for name in STYLES)
    for kind, marks in {
        "source": ("kept", "changed"),
        "prob": ("medium", "low", "lowest"),
    }.items():
        found = [styles[f"{kind}.{mark}"] for mark in marks]
        seen = [(style.bold, style.italic, style.underline) for style in found]
        assert len(set(seen)) == len(marks)
        assert (None, None, None) not in seen


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_are_those_that_no_terminal_changes(palette):
    """Numbers 16 and above: 256 colours and true colour show the same, whatever the palette of sixteen."""
    for number, name in zip(astuple(palette), palette.__dataclass_fields__, strict=True):
        assert 16 <= number <= 255
        color = Color.from_ansi(number)
        assert color.type is ColorType.EIGHT_BIT
        assert palette.hex(name) == color.get_truecolor().hex


def test_none_of_the_sixteen_colours_is_safe():
    """Each has under 4.5:1 on a background that the palette's own users have: hence attributes alone."""
    for i in range(16):
        worst = min(
            contrast(rgb(" ".join(palette).split()[i]), rgb(background))
            for name, palette in SIXTEEN.items()
            for background in BEHIND_SIXTEEN[name]
        )
        assert worst < 4.5, i


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_auto_takes_the_theme_that_can_be_read(theme):
    """Every background gets its theme."""
    for name, background in BACKGROUNDS[theme].items():
        assert theme_for("auto", rgb(background)) == theme, name


def test_auto_takes_no_colour_that_cannot_be_read():
    """On all greys the chosen palette has 4.5:1, and where none has, there is no colour."""
    chosen = set()
    for level in range(256):
        grey = (level, level, level)
        theme = theme_for("auto", grey)
        chosen.add(theme)
        if theme != "mono":
            palette = PALETTES[theme]
            assert min(contrast(rgb(palette.hex(name)), grey) for name in palette.__dataclass_fields__) >= 4.5
    assert chosen == {"light", "dark", "mono"}


@pytest.mark.parametrize(
    ("variable", "theme"),
    [
        ("15;0", "dark"),
        ("0;15", "light"),
        ("0;default;15", "light"),
        ("12;8", "dark"),
        ("0;7", "light"),
        ("", "mono"),
        ("0;default", "mono"),
        ("0;99", "mono"),
        ("nonsense", "mono"),
    ],
)
def test_colorfgbg_speaks_where_the_terminal_does_not_answer(variable, theme):
    """The last field is the background; what cannot be read there counts as unknown."""
    assert theme_for("auto", None, variable) == theme


def test_an_answer_of_the_terminal_wins_over_colorfgbg():
    """The variable may come from another terminal; and what the user asked for wins over both."""
    assert theme_for("auto", (255, 255, 255), "15;0") == "light"
    assert theme_for("dark", (255, 255, 255), "0;15") == "dark"
    assert theme_for("mono", (0, 0, 0)) == "mono"
