"""Writing into the user's models.toml: what was measured becomes settings of a pair.

Here: `write_pair`, which changes the keys it is given and leaves all else, comments and order included.
Not here: how files are read and merged (`models.registry`), which keys there are (`models.schema`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Item

from blendin_local.errors import UsageError, WriteError
from blendin_local.files import PRIVATE_MODE, write_atomic
from blendin_local.models.reading import absolute, parse_toml, read_small_text
from blendin_local.models.registry import REFERENCE_KEYS, looks_like_path
from blendin_local.models.schema import VERSION, Table, check_file


def write_pair(path: Path, name: str, values: Mapping[str, Any], comment: Sequence[str] = ()) -> None:
    """Set keys of `[pairs.NAME]` in a models.toml; the file and the pair are made where they do not exist.

    Args:
        path: The file, usually `models.registry.user_file()`.
        name: The pair.
        values: Keys with values; a mapping becomes a table of its own that replaces an older one. Paths of
            models are made absolute, so that they mean the same from everywhere.
        comment: Remarks put behind the first key, in one line; those of an earlier writing are replaced.

    Raises:
        UsageError: The file is not valid, or a key or value is not allowed; it is left as it was.
        WriteError: The disk refuses; the file is left as it was.
    """
    path = absolute(path, "the file to write")
    document = _read(path)
    pair = _table(_table(document, "pairs", path), name, path)
    for i, (key, value) in enumerate(values.items()):
        pair[key] = _portable(key, value)
        item = pair[key]
        if comment and i == 0 and isinstance(item, Item) and not isinstance(value, Mapping):
            item.comment(" · ".join(line.strip() for line in comment))
    text = tomlkit.dumps(document)
    _require_sound(text, name, values, path)
    _replace(path, text)


def _read(path: Path) -> tomlkit.TOMLDocument:
    if not path.is_symlink() and not path.exists():
        document = tomlkit.document()
        document["version"] = VERSION
        return document
    text = read_small_text(path)
    check_file(parse_toml(text, path), path)
    try:
        return tomlkit.parse(text)
    except (TOMLKitError, RecursionError) as error:
        raise UsageError(f"{path} cannot be extended: {error}", "write the pair by hand") from error


def _table(parent: Any, key: str, path: Path) -> Any:  # noqa: ANN401 - tomlkit's containers
    """A table inside another, made where it does not exist."""
    if key not in parent:
        parent[key] = tomlkit.table(is_super_table=key == "pairs")
    if not isinstance(parent[key], Mapping):
        raise UsageError(f"{path} holds {key!r}, which is not a table", "mend it, then write again")
    return parent[key]


def _portable(key: str, value: Any) -> Any:  # noqa: ANN401 - any TOML value
    if key in REFERENCE_KEYS and isinstance(value, str) and looks_like_path(value):
        return str(absolute(Path(value), key))
    return value


def _require_sound(text: str, name: str, values: Mapping[str, Any], path: Path) -> None:
    """Raise `UsageError` unless the new text says what was meant and a reader would take it."""
    try:
        content: Table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, TOMLKitError) as error:
        raise UsageError(f"{path} cannot be extended: {error}", "write the pair by hand") from error
    check_file(content, path)
    written = content["pairs"][name]
    if any(written.get(key) != _portable(key, value) for key, value in values.items()):
        raise UsageError(f"{path} cannot be extended by [pairs.{name}]", "write the pair by hand")


def _replace(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else PRIVATE_MODE
        write_atomic(path, [text.encode()], mode=mode)
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error.strerror or error}", "check the disk") from error
