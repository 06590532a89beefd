"""What a command writes: data on stdout; notes and errors on stderr.

Here: `print_data`, `print_json`, `print_note`, `print_error`. In a pipe or a file, data are written unchanged
as UTF-8 in any locale; on a terminal, control characters are escaped.
Not here: what is made for reading (`views`, on the consoles of `views.theme`), progress
(`cli.common.progress`).
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from typing import IO, Any

from rich.console import Console

from blendin_local.views.streams import naming_stdout, write_utf8
from blendin_local.views.visible import escape_controls, message_line

# JSON has none of these outside strings, and within strings an escape means the same.
_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def print_data(text: str, stream: IO[str] | None = None, *, end: str = "\n") -> None:
    """Write text that a program may read.

    Args:
        text: The text.
        stream: Where to; stdout by default.
        end: Written after the text.
    """
    stream = stream or sys.stdout
    with naming_stdout():
        if stream.isatty():
            stream.write(escape_controls(text) + end)
            stream.flush()
        else:
            write_utf8(stream, text + end)


def print_note(err: Console, sentence: str, *, style: str = "footer") -> None:
    """Write a sentence to stderr, with control characters escaped and without line breaks."""
    err.print(escape_controls(sentence), style=style, soft_wrap=True)


def print_error(message: str, hint: str = "") -> None:
    """Write what is wrong and what to do next, on a line of stderr each; a closed stderr is ignored."""
    text = f"blendin: {message_line(message)}\n" + (f"  {message_line(hint)}\n" if hint else "")
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def print_json(value: object, stream: IO[str] | None = None, *, indent: int | None = None) -> None:
    """Write a value as JSON, and end the line."""
    print_data(json_text(value, indent=indent), stream)


def json_text(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any JSON value
    """JSON in which every control character is an escape: safe on a terminal, and the same value."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
