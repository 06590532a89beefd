"""Which keys models.toml may have, and of what kind their values are.

Here: the tables of keys, and `check_table`, which names the nearest key for an unknown one.
Not here: what the values mean (`models.entries`), intervals (`settings` checks them where they are used).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from blendin_local.errors import UsageError

Table = Mapping[str, Any]
Kind = tuple[str, Callable[[object], bool]]
VERSION = 1

TEXT: Kind = ("a text", lambda value: isinstance(value, str))
WHOLE: Kind = ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
NUMBER: Kind = ("a number", lambda value: isinstance(value, (int, float)) and not isinstance(value, bool))
SWITCH: Kind = ("true or false", lambda value: isinstance(value, bool))
TEXTS: Kind = (
    "a list of texts",
    lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
)
TABLES: Kind = (
    "a list of tables",
    lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value),
)
TABLE: Kind = ("a table", lambda value: isinstance(value, dict))
ALPHA: Kind = (
    'a number, "auto" or "calibrated"',
    lambda value: value in {"auto", "calibrated"} or NUMBER[1](value),
)
BRIDGE: Kind = ('"bytes" or "prefix"', lambda value: value in {"bytes", "prefix"})
ROLE: Kind = ('"base", "instruct" or "any"', lambda value: value in {"base", "instruct", "any"})
SHA256: Kind = (
    "64 hexadecimal digits",
    lambda value: isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef"),
)

BLEND_KEYS: Mapping[str, Kind] = {
    "method": TEXT,
    "threshold": NUMBER,
    "alpha": ALPHA,
    "agreement_bonus": NUMBER,
    "top_k_blend": WHOLE,
    "cap": NUMBER,
    "bridge": BRIDGE,
    "ctx_size": WHOLE,
    "guide_ctx_size": WHOLE,
    "n_gpu_layers": WHOLE,
    "guide_n_gpu_layers": WHOLE,
    "threads": WHOLE,
    "swa_full": SWITCH,
    "system": TEXT,
    "max_tokens": WHOLE,
}
SOURCE_KEYS = ("path", "hf", "sources")
MODEL_KEYS: Mapping[str, Kind] = {
    "about": TEXT,
    "family": TEXT,
    "role": ROLE,
    "license": TEXT,
    "notice": TEXT,
    "size": WHOLE,
    "sha256": SHA256,
    "template": TEXT,
    "chat_template": TEXT,
    "think": SWITCH,
    "path": TEXT,
    "hf": TEXT,
    "sources": TABLES,
}
PAIR_KEYS: Mapping[str, Kind] = {
    "about": TEXT,
    "base": TEXT,
    "guide": TEXT,
    "anti": TEXT,
    "base_temperature": NUMBER,
    "guide_temperature": NUMBER,
    "base_template": TEXT,
    "tuned": TABLE,
    **BLEND_KEYS,
}
TEMPLATE_KEYS: Mapping[str, Kind] = {
    "about": TEXT,
    "user": TEXT,
    "assistant": TEXT,
    "system": TEXT,
    "preamble": TEXT,
    "stop": TEXTS,
}
DEFAULTS_KEYS: Mapping[str, Kind] = {"pair": TEXT, "template": TEXT, **BLEND_KEYS}
SECTIONS: Mapping[str, Mapping[str, Kind]] = {
    "models": MODEL_KEYS,
    "pairs": PAIR_KEYS,
    "templates": TEMPLATE_KEYS,
}
SOURCE_TABLE_KEYS: Mapping[str, Kind] = {
    "path": TEXT,
    "repo": TEXT,
    "file": TEXT,
    "quant": TEXT,
    "revision": TEXT,
    "parts": TABLES,
}
PART_KEYS: Mapping[str, Kind] = {"package": TEXT, "version": TEXT, "member": TEXT, "size": WHOLE}


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names most like `name`, best first; empty where none is near."""
    folded = {candidate.lower(): candidate for candidate in names}
    return [folded[match] for match in difflib.get_close_matches(name.lower(), folded, n=count, cutoff=0.5)]


def check_table(table: Table, keys: Mapping[str, Kind], where: str, file: Path) -> None:
    """Raise `UsageError` for a key that does not exist or a value of the wrong kind."""
    for key, value in table.items():
        if key not in keys:
            near = nearest(key, keys, 1)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(keys))}"
            raise UsageError(f"{file}: {where} has the unknown key {key!r}", hint)
        expected, fits = keys[key]
        if not fits(value):
            raise UsageError(f"{file}: {where}.{key} is {value!r}, but must be {expected}")


def check_file(content: Table, file: Path) -> None:
    """Check every key of one models.toml."""
    version = content.get("version", VERSION)
    if version != VERSION:
        raise UsageError(
            f"{file}: version is {version!r}, but this program reads version {VERSION}",
            "upgrade blendin-local",
        )
    sections = {"version": WHOLE, "defaults": TABLE, **dict.fromkeys(SECTIONS, TABLE)}
    check_table(content, sections, "the file", file)
    check_table(content.get("defaults", {}), DEFAULTS_KEYS, "[defaults]", file)
    for section, keys in SECTIONS.items():
        for name, table in content.get(section, {}).items():
            if not isinstance(table, dict):
                raise UsageError(f"{file}: [{section}] holds {name!r}, which is not a table")
            check_table(table, keys, f"[{section}.{name}]", file)
    for name, table in content.get("models", {}).items():
        _check_sources(table.get("sources", []), f"[models.{name}].sources", file)


def _check_sources(sources: Iterable[Table], where: str, file: Path) -> None:
    for source in sources:
        check_table(source, SOURCE_TABLE_KEYS, where, file)
        kinds = [key for key in ("path", "repo", "parts") if key in source]
        if len(kinds) != 1:
            raise UsageError(f"{file}: a table in {where} must have exactly one of path, repo, parts")
        parts = source.get("parts", [])
        for part in parts:
            check_table(part, PART_KEYS, f"{where}.parts", file)
        missing = {key for part in parts for key in ("package", "version", "member") if key not in part}
        if "parts" in source and (missing or not parts or "file" not in source):
            raise UsageError(f"{file}: {where} needs a file and parts with package, version and member")
