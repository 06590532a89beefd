"""Where the text of a form comes from: typed itself, or in a file that was named.

Here: `written_text` and `with_texts`, for the command line, a chat and models.toml, where a person writes.
Not here: rows of a batch, requests and Python, which have the text itself and read no file
(`settings.texts`); what the text means (`grammar.definition`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.paths import decode_utf8, expand_user, read_bytes
from blendin_local.settings import Setting

MAX_BYTES = 2**20
"""Of the text of a form."""


def written_text(setting: Setting, value: str, name: str) -> str:
    """The text that a value means.

    Args:
        setting: A setting of the kind `text`.
        value: What was written: the text, or the name of a file.
        name: The option or key, for messages.

    Returns:
        The value itself, or the content of the file that it names.

    Raises:
        UsageError: The file cannot be read, is too large, or is not UTF-8.
    """
    if setting.text is None or not setting.text.names_file(value):
        return value
    path = expand_user(value)
    try:
        return decode_utf8(read_bytes(path, MAX_BYTES), str(path))
    except OSError as error:
        how = "JSON begins with {" if setting.text.json else "a grammar has a rule such as root ::= ..."
        raise UsageError(
            f"{name} names the file {str(path)!r:.200}, which cannot be read: {error.strerror or error}",
            f"check the path; {how}",
        ) from error


def with_texts(fields: Mapping[str, Any], known: Mapping[str, Setting], where: str) -> dict[str, Any]:
    """Fields of settings with the content of the files that they name; see `written_text`.

    Args:
        fields: Values by field.
        known: The settings, by their names there.
        where: Where they were written, for messages.
    """
    texts = {
        each.field: written_text(each, fields[each.field], f"{name} {where}")
        for name, each in known.items()
        if each.text and fields.get(each.field) is not None
    }
    return {**fields, **texts}
