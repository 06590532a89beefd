"""Which keys models.toml may have, and of what kind their values are.

Here: the tables of keys, those of settings out of the table of settings, and `check_table`, which names the
nearest key for an unknown one.
Not here: the forms of names and paths (`models.grammar`), what the values mean (`models.entries`), intervals
(`settings` checks them where they are used).
"""

from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.models import grammar
from blendin_local.settings import (
    AnswerSettings,
    BlendSettings,
    HistorySettings,
    ModelSettings,
    SamplingSettings,
    Setting,
    TerminalSettings,
    settings_on,
)

Table = Mapping[str, Any]
Kind = tuple[str, Callable[[object], bool]]
VERSION = 1
MAX_FILE_BYTES = 2**50
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def _text(description: str, fits: Callable[[str], bool]) -> Kind:
    return description, lambda value: isinstance(value, str) and fits(value)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(value: object) -> bool:
    return WHOLE[1](value) or (isinstance(value, float) and math.isfinite(value))


def _listed(value: object, fits: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(fits(item) for item in value)


TEXT = _text("a text without NUL", grammar.is_text)
NAME = _text("a name", lambda value: not value or grammar.is_name(value))
REFERENCE = _text("a name, path or repository", grammar.is_path)
MAX_GUIDES = 3
REFERENCES: Kind = (
    f"a name, path or repository, or a list of at most {MAX_GUIDES}",
    lambda value: (
        REFERENCE[1](value)
        or (isinstance(value, list) and 0 < len(value) <= MAX_GUIDES and all(map(REFERENCE[1], value)))
    ),
)
PATH = _text("a path of printable characters", grammar.is_path)
MODEL_FILE = _text("a plain file name that ends in .gguf", grammar.is_model_file)
HUB_FILE = _text("a path inside the repository that ends in .gguf", grammar.is_model_path)
MEMBER = _text("a relative path inside the package", grammar.is_relative_path)
PACKAGE = _text("the name of a package (PEP 508)", grammar.is_package)
EXACT_VERSION = _text("one exact version in canonical form (PEP 440)", grammar.is_version)
REPO = _text("user/repo", grammar.is_repo)
REPO_AND_QUANT = _text("user/repo or user/repo:QUANT", grammar.is_repo_and_quant)
QUANT = _text("the name of a quantization", grammar.is_quant)
REVISION = _text("a branch, tag or commit", grammar.is_revision)
WHOLE: Kind = ("a whole number of at most 64 bits", lambda value: _whole(value, -(2**63), 2**63 - 1))
SIZE: Kind = ("a number of bytes", lambda value: _whole(value, 0, MAX_FILE_BYTES))
NUMBER: Kind = ("a number", _number)
NUMBERS: Kind = ("a list of numbers", lambda value: _listed(value, _number))
SWITCH: Kind = ("true or false", lambda value: isinstance(value, bool))
STOPS: Kind = (
    "a list of texts, none empty",
    lambda value: _listed(value, lambda item: item != "" and TEXT[1](item)),
)
TABLES: Kind = ("a list of tables", lambda value: _listed(value, lambda item: isinstance(item, dict)))
TABLE: Kind = ("a table", lambda value: isinstance(value, dict))
ROLE: Kind = ('"base", "instruct" or "any"', lambda value: value in ("base", "instruct", "any"))
SHA256 = _text(
    "64 hexadecimal digits", lambda value: len(value) == 64 and set(value) <= set("0123456789abcdef")
)


def _listing(words: Iterable[str], first: str = "") -> str:
    """Words in quotation marks: `a number, "auto" or "calibrated"`."""
    *others, last = [*([first] if first else []), *(f'"{word}"' for word in words)]
    return f"{', '.join(others)} or {last}" if others else last


def _setting_kind(setting: Setting) -> Kind:
    """The kind of value that a setting has in models.toml."""
    if setting.kind == "choice":
        return _listing(setting.choices), lambda value: value in setting.choices
    kinds: dict[str, Kind] = {
        "number": NUMBER,
        "numbers": NUMBERS,
        "count": WHOLE,
        "switch": SWITCH,
        "name": PATH if setting.metavar else NAME,
        "texts": STOPS,
        "text": TEXT,
    }
    expected, fits = kinds[setting.kind]
    words = () if setting.kind == "texts" else setting.shown_words
    if not words:
        return expected, fits
    return _listing(words, expected), lambda value: value in words or fits(value)


def model_keys(role: str = "") -> dict[str, Setting]:
    """The settings of models by key: those of both models, or with a role's prefix those of one."""
    found = settings_on("toml", ModelSettings)
    return {f"{role}_{key}": each for key, each in found.items() if each.role_flags} if role else found


BLEND_KEYS = settings_on("toml", BlendSettings)
SAMPLING_KEYS = settings_on("toml", SamplingSettings)
ANSWER_KEYS = settings_on("toml", AnswerSettings)
TERMINAL_KEYS = settings_on("toml", TerminalSettings)
HISTORY_KEYS = settings_on("toml", HistorySettings)
_SETTINGS = BLEND_KEYS | SAMPLING_KEYS | ANSWER_KEYS | model_keys() | model_keys("base") | model_keys("guide")
SETTING_KEYS: Mapping[str, Kind] = {key: _setting_kind(each) for key, each in _SETTINGS.items()}
"""The key of every setting in [pairs.*], in the order of the table."""
DEFAULT_SETTING_KEYS: Mapping[str, Kind] = {
    key: kind for key, kind in SETTING_KEYS.items() if not _SETTINGS[key].of_pair
}
"""Likewise in [defaults]."""
TERMINAL_SETTING_KEYS: Mapping[str, Kind] = {key: _setting_kind(each) for key, each in TERMINAL_KEYS.items()}
"""Likewise in [terminal]."""
HISTORY_SETTING_KEYS: Mapping[str, Kind] = {key: _setting_kind(each) for key, each in HISTORY_KEYS.items()}
"""Likewise in [history]."""

SOURCE_KEYS = ("path", "hf", "sources")
MODEL_KEYS: Mapping[str, Kind] = {
    "about": TEXT,
    "family": TEXT,
    "role": ROLE,
    "license": TEXT,
    "notice": TEXT,
    "size": SIZE,
    "sha256": SHA256,
    "template": NAME,
    "chat_template": PATH,
    "think": SWITCH,
    "path": PATH,
    "hf": REPO_AND_QUANT,
    "sources": TABLES,
}
PAIR_KEYS: Mapping[str, Kind] = {
    "about": TEXT,
    "base": REFERENCE,
    "guide": REFERENCES,
    "untuned": REFERENCE,
    "anti": REFERENCE,
    "base_template": NAME,
    "system": TEXT,
    "tuned": TABLE,
    **SETTING_KEYS,
}
RENAMED_PAIR_KEYS: Mapping[str, str] = {"anti": "untuned"}  # names of version 0.1, read like the new ones
TEMPLATE_KEYS: Mapping[str, Kind] = {
    "about": TEXT,
    "user": TEXT,
    "assistant": TEXT,
    "system": TEXT,
    "preamble": TEXT,
    "stop": STOPS,
}
DEFAULTS_KEYS: Mapping[str, Kind] = {
    "pair": NAME,
    "template": NAME,
    "system": TEXT,
    **DEFAULT_SETTING_KEYS,
}
SECTIONS: Mapping[str, Mapping[str, Kind]] = {
    "models": MODEL_KEYS,
    "pairs": PAIR_KEYS,
    "templates": TEMPLATE_KEYS,
}
SOURCE_TABLE_KEYS: Mapping[str, Kind] = {
    "path": PATH,
    "repo": REPO,
    "file": HUB_FILE,
    "quant": QUANT,
    "revision": REVISION,
    "parts": TABLES,
}
PACKAGE_TABLE_KEYS: Mapping[str, Kind] = {"file": MODEL_FILE, "parts": TABLES}
PART_KEYS: Mapping[str, Kind] = {
    "package": PACKAGE,
    "version": EXACT_VERSION,
    "member": MEMBER,
    "size": SIZE,
}


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names most like `name`, best first; empty if none is near."""
    folded = {candidate.lower(): candidate for candidate in names}
    return [folded[match] for match in difflib.get_close_matches(name.lower(), folded, n=count, cutoff=0.5)]


def shown(value: object) -> str:
    """A value of a file as a message can quote it: short, on one line."""
    try:
        return _SHORT.repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or a deep nest
        return f"a {type(value).__name__} too large to show"


def check_table(table: Table, keys: Mapping[str, Kind], where: str, file: Path) -> None:
    """Raise `UsageError` for a key that does not exist or a value of the wrong kind."""
    for key, value in table.items():
        if key not in keys:
            near = nearest(key, keys, 1)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(keys))}"
            raise UsageError(f"{file}: {where} has the unknown key {shown(key)}", hint)
        expected, fits = keys[key]
        if not fits(value):
            raise UsageError(f"{file}: {where}.{key} is {shown(value)}, but must be {expected}", "mend it")


def check_file(content: Table, file: Path) -> None:
    """Check every key of one models.toml."""
    version = content.get("version", VERSION)
    if not WHOLE[1](version) or version != VERSION:
        raise UsageError(
            f"{file}: version is {shown(version)}, but this program reads version {VERSION}",
            "upgrade blendin-local",
        )
    tables = dict.fromkeys(("defaults", "terminal", "history", *SECTIONS), TABLE)
    sections = {"version": WHOLE, **tables}
    check_table(content, sections, "the file", file)
    check_table(content.get("defaults", {}), DEFAULTS_KEYS, "[defaults]", file)
    check_table(content.get("terminal", {}), TERMINAL_SETTING_KEYS, "[terminal]", file)
    check_table(content.get("history", {}), HISTORY_SETTING_KEYS, "[history]", file)
    for section, keys in SECTIONS.items():
        for name, table in content.get(section, {}).items():
            if not grammar.is_name(name):
                raise UsageError(
                    f"{file}: [{section}] has the name {shown(name)}",
                    f"take printable characters, at most {grammar.MAX_NAME_LENGTH}, no space at the ends",
                )
            if not isinstance(table, dict):
                raise UsageError(f"{file}: [{section}] holds {name!r}, which is not a table")
            check_table(table, keys, f"[{section}.{name}]", file)
    for name, table in content.get("models", {}).items():
        _check_sources(table.get("sources", []), f"[models.{name}].sources", file)


def _check_sources(sources: Iterable[Table], where: str, file: Path) -> None:
    for source in sources:
        kinds = [key for key in ("path", "repo", "parts") if key in source]
        if len(kinds) != 1:
            check_table(source, SOURCE_TABLE_KEYS, where, file)
            raise UsageError(f"{file}: a table in {where} must have exactly one of path, repo, parts")
        check_table(source, PACKAGE_TABLE_KEYS if kinds == ["parts"] else SOURCE_TABLE_KEYS, where, file)
        parts = source.get("parts", [])
        for part in parts:
            check_table(part, PART_KEYS, f"{where}.parts", file)
        missing = {key for part in parts for key in ("package", "version", "member") if key not in part}
        if "parts" in source and (missing or not parts or "file" not in source):
            raise UsageError(f"{file}: {where} needs a file and parts with package, version and member")
