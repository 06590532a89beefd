"""Values of the command line that are no settings: dates, texts, files.

Here: parsing with one clear `UsageError`.
Not here: which options there are (`cli.common.options`), values of settings (`settings.setting`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from blendin_local.core.text import require_text
from blendin_local.errors import UsageError
from blendin_local.paths import decode_utf8, read_bytes


def day(name: str, text: str | None) -> date | None:
    """A date. UsageError if it is none."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{name} is {text!r:.60}", "give a date such as 2026-03-31") from None


def without_surrogates(text: str, name: str) -> str:
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
