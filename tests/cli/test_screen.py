"""How the screen is set: option, environment variable, models.toml, and what the terminal answers."""

from __future__ import annotations

import pytest

from blendin_local.cli.common import screen
from blendin_local.cli.common.options import TerminalOptions
from blendin_local.cli.common.screen import dress_consoles, terminal_settings_of
from blendin_local.errors import UsageError
from blendin_local.settings import TerminalSettings
from blendin_local.views.theme import make_console
from tests.answers import Terminal


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORFGBG", "BLENDIN_THEME", "BLENDIN_MARKS", "BLENDIN_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_an_option_wins_over_the_environment_and_that_over_models_toml(monkeypatch, tmp_path):
    """Each place is used where none before it says anything."""
    write(
        tmp_path / "config" / "blendin-local" / "models.toml", '[terminal]\ntheme = "dark"\nmarks = "ascii"\n'
    )
    assert terminal_settings_of(TerminalOptions()) == TerminalSettings("dark", "ascii")
    monkeypatch.setenv("BLENDIN_THEME", "light")
    assert terminal_settings_of(TerminalOptions()) == TerminalSettings("light", "ascii")
    assert terminal_settings_of(TerminalOptions(theme="mono")) == TerminalSettings("mono", "ascii")


def test_a_models_toml_of_the_working_directory_does_not_set_the_screen(tmp_path):
    """How a screen looks is not a project's business; named by --models, the file counts."""
    path = write(tmp_path / "models.toml", '[terminal]\ntheme = "dark"\n')
    assert terminal_settings_of(TerminalOptions()).theme == "auto"
    assert terminal_settings_of(TerminalOptions(), path).theme == "dark"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[terminal]\ntheme = "pink"\n', r'\[terminal\]\.theme is .pink., but must be .*"mono"'),
        ("[terminal]\nplain = 1\n", r"\[terminal\]\.plain is 1, but must be true or false"),
        ('[terminal]\nthem = "dark"\n', r"\[terminal\] has the unknown key 'them'"),
        ("terminal = 1\n", "the file.terminal is 1, but must be a table"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(tmp_path, text, says):
    """File, table and key are named."""
    path = write(tmp_path / "mine.toml", text)
    with pytest.raises(UsageError, match=says) as caught:
        terminal_settings_of(TerminalOptions(), path)
    assert "mine.toml" in str(caught.value)


def test_a_wrong_variable_is_refused_by_its_name(monkeypatch):
    """BLENDIN_THEME is named, not an option that nobody gave."""
    monkeypatch.setenv("BLENDIN_THEME", "pink")
    with pytest.raises(UsageError, match="BLENDIN_THEME is 'pink'"):
        terminal_settings_of(TerminalOptions())


@pytest.mark.parametrize(
    ("background", "color"),
    [((253, 246, 227), "24"), ((0, 43, 54), "81"), ((128, 128, 128), None), (None, None)],
)
def test_the_theme_follows_what_the_terminal_answers(monkeypatch, background, color):
    """Solarized light and dark get their palettes; a middle grey and an unknown background get no colour."""
    monkeypatch.setattr(screen, "terminal_background", lambda: background)
    console = make_console(Terminal())
    dress_consoles(console, console, TerminalSettings())
    shown = console.get_style("source.changed").color
    assert (shown and str(shown.number)) == color


@pytest.mark.parametrize(
    ("variables", "settings"),
    [({"NO_COLOR": "1"}, {}), ({"TERM": "dumb"}, {}), ({"TERM": "linux"}, {}), ({}, {"theme": "light"})],
)
def test_the_terminal_is_asked_only_where_the_answer_counts(monkeypatch, variables, settings):
    """Without colours, and where the user has chosen, nothing is sent to the terminal."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(screen, "terminal_background", lambda: pytest.fail("it was asked"))
    console = make_console(Terminal())
    dress_consoles(console, console, TerminalSettings(**settings))
