"""Data on stdout: JSON, templates, names; and the line of an error.

Here: `print_data`, `print_json`, `print_error`. In a pipe or a file data are what they are, in UTF-8 whatever
the locale; on a terminal controls are visible.
Not here: what is made for eyes (`views.answer` and the other views, on the consoles of `views.theme`).
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from typing import IO, Any

from blendin_local.views.streams import naming_stdout, write_utf8
from blendin_local.views.visible import escape_controls, message_line

# Outside strings JSON has none of these, and within them an escape says the same.
_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def print_data(text: str, stream: IO[str] | None = None, *, end: str = "\n") -> None:
    """Write a text that somebody may read by program.

    Args:
        text: What is written.
        stream: Where; stdout by default.
        end: What follows.
    """
    stream = stream or sys.stdout
    with naming_stdout():
        if stream.isatty():
            stream.write(escape_controls(text) + end)
            stream.flush()
        else:
            write_utf8(stream, text + end)


def print_error(message: str, hint: str = "") -> None:
    """What is wrong on a line of stderr, and what to do on the next; that nobody reads it is no trouble."""
    text = f"blendin: {message_line(message)}\n" + (f"  {message_line(hint)}\n" if hint else "")
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def print_json(value: object, stream: IO[str] | None = None, *, indent: int | None = None) -> None:
    """Write a value as JSON, and end the line."""
    print_data(json_text(value, indent=indent), stream)


def json_text(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - whatever JSON can say
    """JSON in which every control is an escape: safe on a terminal, and the same value."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
