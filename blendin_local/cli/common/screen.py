"""The consoles of a command, as its options, the environment and models.toml want them.

Here: `open_consoles`, `terminal_settings_of`, and `dress_consoles`, which chooses the theme for the terminal.
Not here: styles and colours (`views.theme`, `views.palette`), the question for the background
(`cli.common.background`).
"""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from blendin_local.cli.common.background import terminal_background
from blendin_local.cli.common.options import TerminalOptions
from blendin_local.models.registry import terminal_settings
from blendin_local.settings import TerminalSettings, ThemeChoice, settings_of
from blendin_local.views.palette import ThemeName, theme_for
from blendin_local.views.theme import Consoles, dress, has_palette, make_consoles


def open_consoles(options: TerminalOptions | None = None, models_file: Path | None = None) -> Consoles:
    """The consoles of stdout and stderr.

    Args:
        options: Those of the command; None if it has none.
        models_file: The file of `--models`.

    Raises:
        UsageError: An option, a variable or a `[terminal]` table has a wrong value.
    """
    options = options or TerminalOptions()
    settings = terminal_settings_of(options, models_file)
    consoles = make_consoles(options.color, settings=settings)
    dress_consoles(consoles.out, consoles.err, settings)
    return consoles


def terminal_settings_of(options: TerminalOptions, models_file: Path | None = None) -> TerminalSettings:
    """An option wins over its environment variable, which wins over `[terminal]` of models.toml.

    Raises:
        UsageError: One of them has a wrong value.
    """
    values = terminal_settings(models_file)
    for each in settings_of(TerminalSettings):
        text = os.environ.get(each.env)
        if text and each.kind != "switch":  # typer reads switches, where there is an option for them
            values[each.field] = each.parse(text, each.env)
    return TerminalSettings(**values | options.settings())


def dress_consoles(out: Console, err: Console, settings: TerminalSettings) -> None:
    """Give both consoles the theme and the marks that are set."""
    shows_colors = any(has_palette(console) and not console.no_color for console in (out, err))
    theme = theme_of(settings.theme) if shows_colors else "mono"
    for console in (out, err):
        dress(console, theme, settings.marks)


def theme_of(choice: ThemeChoice) -> ThemeName:
    """The theme for this terminal, which is asked for its background where the user did not choose."""
    background = terminal_background() if choice == "auto" else None
    return theme_for(choice, background, os.environ.get("COLORFGBG", ""))
