"""Settings by the names of the command line, as `/set NAME VALUE` takes them.

Here: names, parsing, and `changed`, which gives new settings or one clear UsageError.
Not here: defaults and intervals (`blendin_local.settings`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from blendin_local.cli.chat.state import ChatSettings
from blendin_local.errors import UsageError
from blendin_local.settings import AUTO_ALPHA, BRIDGES, CALIBRATED_ALPHA

Kind = Literal["method", "alpha", "bridge", "float", "int"]
Value = str | float | int | None

# name: (part of the settings, field, kind, the word that stands for None)
SETTABLE: Mapping[str, tuple[str, str, Kind, str | None]] = {
    "method": ("blend", "method", "method", None),
    "threshold": ("blend", "threshold", "float", None),
    "alpha": ("blend", "alpha", "alpha", AUTO_ALPHA),
    "cap": ("blend", "cap", "float", None),
    "bridge": ("blend", "bridge", "bridge", None),
    "temp": ("sampling", "temperature", "float", None),
    "top-p": ("sampling", "top_p", "float", None),
    "top-k": ("sampling", "top_k", "int", None),
    "min-p": ("sampling", "min_p", "float", None),
    "seed": ("sampling", "seed", "int", "random"),
    "max-tokens": ("answer", "max_tokens", "int", None),
}


def listed(settings: ChatSettings) -> dict[str, str]:
    """Every settable value as text, in a fixed order."""
    values: dict[str, str] = {}
    for name, (part, attribute, _, none) in SETTABLE.items():
        value = getattr(getattr(settings, part), attribute)
        values[name] = (
            str(none) if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        )
    return values


def changed(settings: ChatSettings, name: str, text: str, methods: Sequence[str]) -> ChatSettings:
    """The settings with one value changed.

    Raises:
        UsageError: No such name, or no such value.
    """
    name = name.replace("_", "-").lower()
    if name not in SETTABLE:
        raise UsageError(f"there is no setting {name!r}", nearest(name, SETTABLE, "/set lists them"))
    part, attribute, kind, none = SETTABLE[name]
    value = None if none is not None and text == none else _parsed(name, text, kind, none, methods)
    return replace(settings, **{part: replace(getattr(settings, part), **{attribute: value})})


def _parsed(name: str, text: str, kind: Kind, none: str | None, methods: Sequence[str]) -> Value:
    if kind in {"method", "bridge"}:
        choices = methods if kind == "method" else BRIDGES
        if text in choices:
            return text
        raise UsageError(f"there is no {kind} {text!r}", f"choose one of {', '.join(choices)}")
    if kind == "alpha" and text == CALIBRATED_ALPHA:
        return text
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        wanted = ("a whole number" if kind == "int" else "a number") + (f" or {none}" if none else "")
        wanted += f" or {CALIBRATED_ALPHA}" if kind == "alpha" else ""
        raise UsageError(f"{name} is {text!r}", f"give {wanted}") from None


def nearest(word: str, known: Mapping[str, object] | Sequence[str], otherwise: str) -> str:
    """`did you mean A or B?`, and where to find the others."""
    near = difflib.get_close_matches(word, list(known), n=2, cutoff=0.5)
    return f"did you mean {' or '.join(near)}? {otherwise}" if near else otherwise
