"""Settings about a person rather than an answer: the screen, and what is kept.

Here: `TerminalSettings` and `HistorySettings`; they change no byte of an answer.
Not here: all other settings (`settings.table`).
"""
# ruff: noqa: RUF009 - `setting` declares a field, as `dataclasses.field` does

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from blendin_local.settings.setting import Excluded, check_settings, setting

ThemeChoice = Literal["auto", "light", "dark", "mono"]
MarkChoice = Literal["auto", "on", "off", "ascii"]

_OF_THE_SCREEN = Excluded("it is about the screen of one person, not about an answer")
_OF_THE_HISTORY = Excluded("it is about what one person keeps, and is fixed for a command")
_screen = partial(setting, save=_OF_THE_SCREEN, row=_OF_THE_SCREEN, sweep=_OF_THE_SCREEN)


@dataclass(frozen=True)
class TerminalSettings:
    """How a person's terminal shows an answer; `[terminal]` in models.toml."""

    theme: ThemeChoice = _screen(
        "auto",
        "Colours for a light or a dark background; mono uses bold and underline only; auto asks the terminal "
        "for its background.",
        env="BLENDIN_THEME",
    )
    marks: MarkChoice = _screen(
        "auto",
        "Mark the guide's part of an answer: auto where a terminal shows bold and underline; on everywhere, "
        "if need be by brackets and underscores; ascii always by those; off nowhere.",
        env="BLENDIN_MARKS",
    )
    plain: bool = _screen(
        False, "Show the raw text of answers instead of rendered Markdown.", env="BLENDIN_PLAIN"
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class HistorySettings:
    """What the command line keeps of questions and answers; `[history]` in models.toml."""

    log: bool = setting(
        True,
        "Keep the question and the answer in the history, which blendin logs shows.",
        chat=_OF_THE_HISTORY,
        save=_OF_THE_HISTORY,
        row=_OF_THE_HISTORY,
        sweep=_OF_THE_HISTORY,
    )

    def __post_init__(self) -> None:
        check_settings(self)
