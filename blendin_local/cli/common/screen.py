"""The consoles of a command, as its options, the environment and models.toml want them.

Here: `terminal_settings_of`, `open_consoles`, and `theme_of`, which asks for the terminal's background.
Not here: styles and colours (`views.theme`, `views.palette`).
"""

from __future__ import annotations

import os
from pathlib import Path

from blendin_local.cli.common.options import TerminalOptions
from blendin_local.models.registry import terminal_settings
from blendin_local.settings import TerminalSettings, ThemeChoice, settings_of
from blendin_local.views.palette import ThemeName, theme_for
from blendin_local.views.theme import Consoles, make_consoles


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
    return make_consoles(options.color, theme_of(settings.theme), settings)


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


def theme_of(choice: ThemeChoice) -> ThemeName:
    """The theme for this terminal."""
    return theme_for(choice, None, os.environ.get("COLORFGBG", ""))
