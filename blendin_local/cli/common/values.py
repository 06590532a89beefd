"""Values as they are typed on the command line: numbers, words, files.

Here: parsing with one clear `UsageError`.
Not here: which options there are (`cli.common.options`), intervals (`blendin_local.settings`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from blendin_local.core.text import require_text
from blendin_local.errors import UsageError
from blendin_local.paths import decode_utf8, read_bytes
from blendin_local.settings import AUTO_ALPHA, CALIBRATED_ALPHA, CalibratedAlpha

Value = TypeVar("Value")
WHOLE = re.compile(r"[+-]?[0-9]{1,100}")
ALPHA_WORDS: Mapping[str, CalibratedAlpha | None] = {AUTO_ALPHA: None, CALIBRATED_ALPHA: CALIBRATED_ALPHA}


def number(name: str, text: str | None, words: Mapping[str, Value]) -> float | Value | None:
    """A number, or one of a few words.

    Raises:
        UsageError: It is neither.
    """
    if text is None or text in words:
        return None if text is None else words[text]
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{name} is {text!r}", f"give a number or {' or '.join(words)}") from None


def whole(name: str, text: str, words: Mapping[str, Value]) -> int | Value:
    """A whole number in plain digits, or one of a few words.

    Raises:
        UsageError: It is neither.
    """
    if text in words:
        return words[text]
    if not WHOLE.fullmatch(text):
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        raise UsageError(f"{name} is {shown!r}", f"give a whole number or {' or '.join(words)}")
    return int(text)


def chosen(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - settings of many types
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def one_of(name: str, value: str | None, choices: tuple[str, ...]) -> str | None:
    """A word that must be one of these. UsageError if it is not."""
    if value is not None and value not in choices:
        raise UsageError(f"{name} is {value!r}", f"choose one of {', '.join(choices)}")
    return value


def day(name: str, text: str | None) -> date | None:
    """A date. UsageError if it is none."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{name} is {text!r:.60}", "give a date such as 2026-03-31") from None


def typed(text: str, name: str) -> str:
    """A text from the command line, the environment or a terminal.

    In a locale without UTF-8 its bytes come as half characters; where they are UTF-8 they are put together.

    Raises:
        UsageError: They are not; see `core.text.require_text`.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode()
    except UnicodeError:
        return require_text(text, name)


def read_text(path: Path | None) -> str | None:
    """A UTF-8 file's text, None for no file.

    Raises:
        UsageError: It cannot be read, or is not UTF-8.
    """
    if path is None:
        return None
    try:
        return decode_utf8(read_bytes(path), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from error
