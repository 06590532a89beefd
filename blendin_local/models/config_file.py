"""Reading and writing one models.toml.

Here: `read_file`, which checks keys and makes paths absolute; `write_pair`, which sets keys of a pair and
leaves everything else as it is, comments and order included.
Not here: which files apply and how they are merged (`models.registry`), the allowed keys (`models.schema`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Item

from blendin_local.errors import UsageError, WriteError
from blendin_local.files import PRIVATE_MODE, write_atomic
from blendin_local.models.other_tools.found import tool_of
from blendin_local.models.schema import ANSWER_KEYS, RENAMED_PAIR_KEYS, VERSION, Table, check_file
from blendin_local.paths import read_text, resolve_path

PATH_KEYS = frozenset({"path", "chat_template"})
REFERENCE_KEYS = frozenset({"base", "guide", "untuned"})
MAX_DOTTED_KEYS = 8  # `a.b.c`: tomllib takes quadratic time for it
_LINK = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_CHAIN = re.compile(rf"(?<![\w-])(?:{_LINK}){{{MAX_DOTTED_KEYS}}}")


def read_file(path: Path) -> Table:
    """Read one models.toml, check its keys, and make its relative paths absolute.

    Raises:
        UsageError: It cannot be read, is not TOML, or has an unknown key or a wrong value.
    """
    content = parse_toml(read_text(path), path)
    check_file(content, path)
    for table in content.get("models", {}).values():
        _make_paths_absolute(table, path)
        for source in table.get("sources", []):
            _make_paths_absolute(source, path)
    _make_paths_absolute(content.get("defaults", {}), path)
    for table in content.get("pairs", {}).values():
        for old, new in RENAMED_PAIR_KEYS.items():
            if old in table:
                table.setdefault(new, table.pop(old))
        _make_paths_absolute(table, path)
    return content


def _make_paths_absolute(table: dict[str, Any], file: Path) -> None:
    for key, value in table.items():
        if key in REFERENCE_KEYS:
            table[key] = _each(value, partial(_absolute, what=f"{file}: {key}", folder=file.parent))
        elif key in PATH_KEYS or _names_text(key, value):
            table[key] = str(resolve_path(Path(value), f"{file}: {key}", file.parent))


def _each(value: object, change: Callable[[str], str]) -> Any:  # noqa: ANN401 - a text or a list of texts
    """A reference, or each of a list of references, changed."""
    return [change(name) for name in value] if isinstance(value, list) else change(cast("str", value))


def _absolute(reference: str, what: str, folder: Path | None = None) -> str:
    """A reference, made absolute if it is a path."""
    return str(resolve_path(Path(reference), what, folder)) if looks_like_path(reference) else reference


def _names_text(key: str, value: object) -> bool:
    """Whether a value is the name of a file with the text of a setting."""
    text = ANSWER_KEYS[key].text if key in ANSWER_KEYS else None
    words = ANSWER_KEYS[key].words if text else {}
    return text is not None and isinstance(value, str) and value not in words and text.names_file(value)


def looks_like_path(reference: str) -> bool:
    """Whether a reference can only be a path: it starts like one, or ends in .gguf."""
    if reference.startswith("hf://") or tool_of(reference):
        return False
    return reference.startswith((".", "/", "~", "\\")) or reference.lower().endswith(".gguf")


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Parse a TOML text.

    Raises:
        UsageError: It is not TOML, or is nested too deeply for a models.toml.
    """
    if chain := _CHAIN.search(text):
        line = text.count("\n", 0, chain.start()) + 1
        raise UsageError(
            f"{path} is not a models.toml: line {line} has a dotted key of too many parts", "shorten that key"
        )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}", "correct the file") from error
    except RecursionError:
        raise UsageError(f"{path} is not a models.toml: it is nested too deeply", "correct it") from None
    except ValueError as error:  # a number of thousands of digits, a date that does not exist
        raise UsageError(f"{path} is not valid TOML: {error}", "correct the file") from error


def write_pair(path: Path, name: str, values: Mapping[str, Any], comment: Sequence[str] = ()) -> None:
    """Set keys of `[pairs.NAME]` in a models.toml; both are created if they do not exist.

    Args:
        path: The file, usually `models.registry.user_file()`.
        name: The pair.
        values: Keys with values; a mapping becomes a table that replaces an older one. Model paths
            are made absolute.
        comment: Written behind the first key, in one line; replaces the comment there.

    Raises:
        UsageError: The file is not valid, or a key or value is not allowed; it is unchanged.
        WriteError: The file cannot be written; it is unchanged.
    """
    path = resolve_path(path, "the file to write")
    document = _read(path)
    pair = _table(_table(document, "pairs", path), name, path)
    for i, (key, value) in enumerate(values.items()):
        pair[key] = _portable(key, value)
        item = pair[key]
        if comment and i == 0 and isinstance(item, Item) and not isinstance(value, Mapping):
            item.comment(" · ".join(line.strip() for line in comment))
    text = tomlkit.dumps(document)
    _require_valid(text, name, values, path)
    _replace(path, text)


def _read(path: Path) -> tomlkit.TOMLDocument:
    if not path.is_symlink() and not path.exists():
        document = tomlkit.document()
        document["version"] = VERSION
        return document
    text = read_text(path)
    check_file(parse_toml(text, path), path)
    try:
        return tomlkit.parse(text)
    except (TOMLKitError, RecursionError) as error:
        raise UsageError(f"{path} cannot be edited: {error}", "add the pair by hand") from error


def _table(parent: Any, key: str, path: Path) -> Any:  # noqa: ANN401 - tomlkit's containers
    """Return a table inside another, created if it does not exist."""
    if key not in parent:
        parent[key] = tomlkit.table(is_super_table=key == "pairs")
    if not isinstance(parent[key], Mapping):
        raise UsageError(f"{path} holds {key!r}, which is not a table", "correct it and try again")
    return parent[key]


def _portable(key: str, value: Any) -> Any:  # noqa: ANN401 - any TOML value
    return _each(value, partial(_absolute, what=key)) if key in REFERENCE_KEYS else value


def _require_valid(text: str, name: str, values: Mapping[str, Any], path: Path) -> None:
    """Raise `UsageError` unless the new text is valid and has the new values."""
    try:
        content: Table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, TOMLKitError) as error:
        raise UsageError(f"{path} cannot be edited: {error}", "add the pair by hand") from error
    check_file(content, path)
    written = content["pairs"][name]
    if any(written.get(key) != _portable(key, value) for key, value in values.items()):
        raise UsageError(f"{path} cannot be edited to hold [pairs.{name}]", "add the pair by hand")


def _replace(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else PRIVATE_MODE
        write_atomic(path, [text.encode()], mode=mode)
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error.strerror or error}", "check the disk") from error
