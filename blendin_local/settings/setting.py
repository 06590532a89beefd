"""The description of one setting, and how its values are parsed, written and checked.

Here: `setting`, which declares a field of a settings class; `Setting`, the declaration as every surface reads
it (command line, models.toml, `/set` and `/save` of the chat, rows of a batch, sweeps of an evaluation).
Not here: the settings themselves (`settings.table`), intervals (`settings.interval`), how each surface offers
them.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from blendin_local.errors import UsageError
from blendin_local.settings.interval import HUGE, plain, quoted, require_between, require_count
from blendin_local.settings.texts import WholeText

Kind = Literal["number", "count", "switch", "choice", "name", "texts", "text", "numbers"]
Surface = Literal["cli", "toml", "chat", "save", "row", "sweep"]
SURFACES: tuple[Surface, ...] = get_args(Surface)
Value = TypeVar("Value")

DIGITS = re.compile(r"[+-]?[0-9]{1,100}")
SWITCH_WORDS: Mapping[str, bool] = {"on": True, "off": False, "true": True, "false": False}
_KEY = "blendin_local.setting"


@dataclass(frozen=True, slots=True)
class Excluded:
    """Says that a surface does not offer a setting, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Declared:
    """The arguments of `setting`, kept as metadata of the field."""

    help: str
    low: float
    high: float
    name: str
    words: Mapping[str, Any]
    known_names: tuple[str, ...]
    flags: tuple[str, ...]
    env: str
    names: Mapping[Surface, str | Excluded]
    role_flags: bool
    of_pair: bool
    metavar: str
    text: WholeText | None


def setting(
    default: Value,
    meaning: str,
    *,
    low: float = float("-inf"),
    high: float = float("inf"),
    name: str = "",
    words: Mapping[str, Any] | None = None,
    known_names: Sequence[str] = (),
    flags: Sequence[str] = (),
    env: str = "",
    role_flags: bool = False,
    of_pair: bool = False,
    metavar: str = "",
    text: WholeText | None = None,
    **names: str | Excluded,
) -> Value:
    """Declare a field of a settings class.

    Args:
        default: Its default.
        meaning: The sentence that help shows; interval, choices and default are added to it.
        low: Smallest allowed number.
        high: Largest allowed number.
        name: What users call it, with hyphens; empty for the field's own name.
        words: Words for values that are no numbers, such as `auto` for None. If several words mean the same
            value, the first is shown.
        known_names: For a name, those that completion offers. Which ones there are is checked elsewhere.
        flags: More flags of the command line besides `--NAME`.
        env: The environment variable that sets it.
        role_flags: Whether `--base-NAME` and `--guide-NAME` set it for one model.
        of_pair: Whether its value belongs to two particular models, so that `[defaults]` cannot have it.
        metavar: For a file, what help shows in the place of its name; empty where it is no file.
        text: For a value that is a whole text, how it is told from the name of a file.
        names: For a `Surface` where it is called differently, its name there; `Excluded` where the surface
            does not offer it.
    """
    unknown = set(names) - set(SURFACES)
    if unknown:
        raise TypeError(f"there is no surface {sorted(unknown)[0]!r}")
    declared = _Declared(
        meaning,
        low,
        high,
        name,
        words or {},
        tuple(known_names),
        tuple(flags),
        env,
        cast("Mapping[Surface, str | Excluded]", names),
        role_flags,
        of_pair,
        metavar,
        text,
    )
    return field(default=default, metadata={_KEY: declared})


@dataclass(frozen=True)
class Setting:
    """One setting, as every surface reads it.

    Attributes:
        field: Name of the field in its settings class.
        name: What users call it, with hyphens.
        kind: What its values are: a number, a whole number, on or off, one of a few words, a name, texts,
            a whole text, numbers.
        default: Its default.
        nullable: Whether None is a value.
        choices: The words of a choice.
        help: The sentence that help shows.
        low: Smallest allowed number.
        high: Largest allowed number.
        words: Words that mean values.
        known_names: Names that completion offers.
        flags: Its flags on the command line; empty if it has none.
        env: Its environment variable, or empty.
        names: Its name on each surface; `Excluded` where it is not offered.
        role_flags: Whether each of the two models can have its own.
        of_pair: Whether its value belongs to two particular models.
        metavar: What help shows in the place of a file's name; empty where it is no file.
        text: For a whole text, how it is told from the name of a file.
    """

    field: str
    name: str
    kind: Kind
    default: Any
    nullable: bool
    choices: tuple[str, ...]
    help: str
    low: float
    high: float
    words: Mapping[str, Any]
    known_names: tuple[str, ...]
    flags: tuple[str, ...]
    env: str
    names: Mapping[Surface, str | Excluded]
    role_flags: bool
    of_pair: bool
    metavar: str
    text: WholeText | None = None

    def on(self, surface: Surface) -> str | None:
        """Its name on a surface, None if it is not offered there."""
        name = self.names[surface]
        return None if isinstance(name, Excluded) else name

    def word_of(self, value: object) -> str:
        """A value as users write it: `0.4`, `auto`, `on`."""
        for word, meaning in self.words.items():
            if type(meaning) is type(value) and meaning == value:
                return word
        if isinstance(value, bool):
            return "on" if value else "off"
        if self.kind == "numbers":
            return " ".join(f"{number:g}" for number in cast("tuple[float, ...]", value))
        if isinstance(value, tuple):
            return " ".join(shlex.quote(text) if text.isprintable() else repr(text) for text in value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    @property
    def shown_words(self) -> tuple[str, ...]:
        """The words that mean values, except old spellings that are numbers (`--seed -1`)."""
        return tuple(word for word in self.words if not word.startswith("-"))

    @property
    def all_words(self) -> tuple[str, ...]:
        """The words that completion offers: `bytes` or `prefix`, `on` or `off`, `auto` for a number."""
        switch = ("on", "off") if self.kind == "switch" else ()
        return self.choices or self.known_names or switch or self.shown_words

    @property
    def range_text(self) -> str:
        """The interval or the choices in words: `0 to 1`, `at least 1`, `bytes or prefix`."""
        if self.choices:
            return f"{', '.join(self.choices[:-1])} or {self.choices[-1]}"
        if self.kind not in {"number", "count", "numbers"}:
            return ""
        interval = f"at least {plain(self.low)}"
        if self.high < HUGE:
            interval = f"{plain(self.low)} to {plain(self.high)}"
        return ", or ".join(filter(None, [interval, " or ".join(self.shown_words)]))

    @property
    def help_text(self) -> str:
        """The sentence with interval or choices and the default."""
        shown = self.word_of(self.default)
        facts = [self.range_text, f"default {shown}" if shown else ""]
        return f"{self.help} ({'; '.join(filter(None, facts))})" if any(facts) else self.help

    def check(self, value: object, name: str = "") -> None:
        """Raise `UsageError` unless a settings class may hold this value."""
        name = name or self.name
        if (value is None and self.nullable) or (isinstance(value, str) and value in self.words.values()):
            return
        if self.kind == "number" or (self.kind == "numbers" and has_type(self.kind, value)):
            for number in cast("tuple[float, ...]", value) if self.kind == "numbers" else (value,):
                require_between(name, number, self.low, self.high)
        elif self.kind == "count":
            require_count(name, value, self.low, self.high)
        elif self.kind == "choice":
            self._require_choice(name, value)
        elif not has_type(self.kind, value):
            raise UsageError(f"{name} is {quoted(value)}", f"give {_EXPECTED[self.kind]}")

    def _require_choice(self, name: str, value: object) -> None:
        if not isinstance(value, str) or value not in self.choices:
            raise UsageError(f"{name} is {quoted(value)}", f"choose one of {', '.join(self.choices)}")

    def parse(self, text: str, name: str = "") -> Any:  # noqa: ANN401 - settings have many types
        """A value from its text, as it is typed on the command line, in a chat or in a sweep.

        Args:
            text: What was typed.
            name: What messages call the setting; empty for its own name.

        Raises:
            UsageError: The text is no value of this kind. The interval is checked by the settings class.
        """
        name = name or self.name
        if text in self.words:
            return self.words[text]
        if self.kind == "choice":
            self._require_choice(name, text)
        elif self.kind == "switch":
            return self._switch(text, name)
        elif self.kind in {"texts", "numbers"}:
            parts = _split(text, name)
            return parts if self.kind == "texts" else tuple(self._number(part, name) for part in parts)
        elif self.kind in {"number", "count"}:
            return self._number(text, name)
        return text

    def _switch(self, text: str, name: str) -> bool:
        if text not in SWITCH_WORDS:
            raise UsageError(f"{name} is {quoted(text)}", "give on or off")
        return SWITCH_WORDS[text]

    def _number(self, text: str, name: str) -> float:
        whole = self.kind == "count"
        try:
            if not whole:
                return float(text)
            if DIGITS.fullmatch(text):
                return int(text)
        except ValueError:
            pass
        allowed = " or ".join(["a whole number" if whole else "a number", *self.shown_words])
        raise UsageError(f"{name} is {quoted(text)}", f"give {allowed}")

    def from_file(self, value: object) -> Any:  # noqa: ANN401 - settings have many types
        """A value from models.toml or JSON whose type was checked; words, lists and JSON are converted."""
        if isinstance(value, str) and value in self.words:
            return self.words[value]
        if self.text is not None and self.text.json and isinstance(value, Mapping | bool):
            return json.dumps(value, ensure_ascii=False)
        return tuple(value) if isinstance(value, list) else value


_EXPECTED: Mapping[Kind, str] = {
    "switch": "True or False",
    "name": "a name",
    "text": "a text",
    "texts": "a tuple of texts",
    "numbers": "a tuple of numbers",
}


def has_type(kind: Kind, value: object) -> bool:
    """Whether a value is of a kind that is no number."""
    parts: Mapping[Kind, set[type]] = {"texts": {str}, "numbers": {int, float}}
    if kind in parts:
        return isinstance(value, tuple | list) and all(type(part) in parts[kind] for part in value)
    return isinstance(value, bool if kind == "switch" else str)


def settings_of(table: type) -> tuple[Setting, ...]:
    """The settings that a settings class declares, in order."""
    return _settings_of(cast("Any", table))


@lru_cache(maxsize=64)
def _settings_of(table: Any) -> tuple[Setting, ...]:  # noqa: ANN401 - for mypy a type is not hashable
    hints = get_type_hints(table)
    return tuple(
        _setting(each.name, hints[each.name], each.default, each.metadata[_KEY])
        for each in fields(table)
        if _KEY in each.metadata
    )


def settings_on(surface: Surface, *tables: type) -> dict[str, Setting]:
    """The settings that a surface offers, by their names there."""
    every = (each for table in tables for each in settings_of(table))
    return {name: each for each in every if (name := each.on(surface)) is not None}


def _setting(name: str, hint: Any, default: Any, declared: _Declared) -> Setting:  # noqa: ANN401 - a type hint
    if default is MISSING:
        raise TypeError(f"the setting {name} has no default")
    shown = declared.name or name.replace("_", "-")
    key = shown.replace("-", "_")
    own: dict[Surface, str | Excluded] = {
        "cli": f"--{shown}",
        "toml": key,
        "chat": shown,
        "save": name,
        "row": key,
        "sweep": shown,
    }
    names = own | dict(declared.names)
    kind, nullable, choices = _kind_of(hint)
    kind = kind if declared.text is None else "text"
    cli = names["cli"]
    return Setting(
        field=name,
        name=shown,
        kind=kind,
        default=default,
        nullable=nullable,
        choices=choices,
        help=declared.help,
        low=declared.low,
        high=declared.high,
        words=declared.words,
        known_names=declared.known_names,
        flags=() if isinstance(cli, Excluded) else (cli, *declared.flags),
        env=declared.env,
        names=names,
        role_flags=declared.role_flags,
        of_pair=declared.of_pair,
        metavar=declared.metavar,
        text=declared.text,
    )


def _kind_of(hint: Any) -> tuple[Kind, bool, tuple[str, ...]]:  # noqa: ANN401 - a type hint
    """The kind of values, whether None is one, and the words of a choice."""
    members = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    nullable = NoneType in members
    plain = [member for member in members if member is not NoneType and get_origin(member) is not Literal]
    if not plain:
        return "choice", nullable, tuple(word for member in members for word in get_args(member))
    kinds: dict[Any, Kind] = {bool: "switch", float: "number", int: "count", str: "name", tuple: "texts"}
    is_numbers = plain[0] == tuple[float, ...]
    return "numbers" if is_numbers else kinds[get_origin(plain[0]) or plain[0]], nullable, ()


def check_settings(settings: Any) -> None:  # noqa: ANN401 - any settings class
    """Raise `UsageError` unless every field of a settings object holds an allowed value."""
    for each in settings_of(type(settings)):
        each.check(getattr(settings, each.field))


def _split(text: str, name: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{name} is {quoted(text)}", "close the quotation mark") from error
