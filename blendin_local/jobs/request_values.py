"""The fields of a request that came as JSON: what a row of a batch and a request to a server have in common.

Here: `RequestDefaults`, and functions that read single fields and the settings among them.
Not here: the form of a row (`jobs.batch.rows`), the form of a request over HTTP (`server.bodies`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from blendin_local.core.methods import METHODS, ONE_GUIDE, require_guides
from blendin_local.core.prompts import quoted
from blendin_local.core.roles import Role
from blendin_local.core.text import require_text
from blendin_local.decode.request import GenerationSettings
from blendin_local.errors import UsageError
from blendin_local.pair.needed_models import require_search
from blendin_local.settings import (
    AnswerSettings,
    BlendSettings,
    SamplingSettings,
    Setting,
    of_one_form,
    settings_on,
)

BLEND = settings_on("row", BlendSettings)
SAMPLING = settings_on("row", SamplingSettings)
ANSWER = settings_on("row", AnswerSettings)
SETTINGS = frozenset({"system", *BLEND, *SAMPLING, *ANSWER})


@dataclass(frozen=True)
class RequestDefaults:
    """Settings of requests that set nothing themselves.

    Attributes:
        blend: Method, threshold, alpha.
        sampling: Temperature and other sampling settings.
        answer: Limits and stop strings.
        system: System prompt of requests that have none.
        methods: The methods that the named models allow.
        roles: The roles whose models were named; None where this is not known yet.
    """

    blend: BlendSettings
    sampling: SamplingSettings
    answer: AnswerSettings
    system: str = ""
    methods: tuple[str, ...] = tuple(METHODS)
    roles: Collection[Role] | None = None


def settings_in(values: Mapping[str, Any], defaults: RequestDefaults) -> GenerationSettings:
    """The settings of one answer: those that a request gives, and the defaults; null means not given.

    Whether a form can be checked is left to `grammar.compilation.require_form`, which takes time.

    Raises:
        UsageError: A value is wrong, or the settings do not go with the models that were named.
    """
    answer = replace(defaults.answer, **of_one_form(_given(values, ANSWER)))
    sampling = replace(defaults.sampling, **_given(values, SAMPLING))
    blend = _blend(values, defaults)
    if defaults.roles is not None:
        require_guides(defaults.roles, blend)
        require_search(sampling, defaults.roles)
    return GenerationSettings(blend, sampling, answer)


def _blend(values: Mapping[str, Any], defaults: RequestDefaults) -> BlendSettings:
    given = _given(values, BLEND)
    method = given.get("method", defaults.blend.method)
    if not isinstance(method, str) or method not in METHODS:
        raise UsageError(f"there is no method {quoted(method)}: choose one of {', '.join(METHODS)}")
    if method not in defaults.methods:
        if method in ONE_GUIDE and "blendin" in defaults.methods and "nudging-words" not in defaults.methods:
            raise UsageError(f"method {method} works with one guide: {ONE_GUIDE[method]}")
        raise UsageError(f"method {method} needs a model that was not named")
    return replace(defaults.blend, **given)


def _given(values: Mapping[str, Any], known: Mapping[str, Setting]) -> dict[str, Any]:
    """The fields of settings that a row sets; null means not set."""
    return {
        setting.field: _value(setting, name, values[name])
        for name, setting in known.items()
        if values.get(name) is not None
    }


def _value(setting: Setting, name: str, value: object) -> Any:  # noqa: ANN401 - settings have many types
    if isinstance(value, str) and setting.kind in {"number", "count", "name"} and value in setting.words:
        return setting.words[value]
    if setting.kind == "text":
        return whole_text_of(setting, name, value)
    if reader := READERS.get(setting.kind):
        return reader(name, value)
    return value if setting.kind == "choice" or name == "method" else characters_of(name, value)


def whole_text_of(setting: Setting, name: str, value: object) -> str | None:
    """A whole text, never the name of a file; where the text is JSON, the value itself may be given."""
    text = setting.from_file(value)
    return None if text is None else characters_of(name, text)


def texts_of(name: str, value: object) -> tuple[str, ...]:
    """A text or a list of texts."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise UsageError(f"{name} is neither a text nor a list of texts")
    return tuple(characters_of(name, text) for text in texts)


def numbers_of(name: str, value: object) -> tuple[float, ...]:
    """A list of numbers, the same in a text, or the word for none."""
    if isinstance(value, str):
        try:
            value = [] if value == "equal" else [float(part) for part in value.split()]
        except ValueError:
            raise UsageError(f"{name} is {quoted(value)}, not numbers") from None
    if not isinstance(value, list):
        raise UsageError(f"{name} is not a list of numbers")
    return tuple(number_of(name, number) for number in value)


def switch_of(name: str, value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise UsageError(f"{name} is {quoted(value)}, not true or false")
    return value


def number_of(name: str, value: object) -> float:
    """A number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{name} is {quoted(value)}, not a number")
    try:
        return float(value)
    except OverflowError:
        raise UsageError(f"{name} is too large a number") from None


def whole_number_of(name: str, value: object) -> int:
    """A whole number; 3.0 is one."""
    number = number_of(name, value)
    if not number.is_integer():
        raise UsageError(f"{name} is {quoted(value)}, not a whole number")
    return value if isinstance(value, int) else int(number)


def optional_text(name: str, value: object) -> str | None:
    """A text, perhaps an empty one; None for null."""
    return None if value is None else characters_of(name, value)


def text_of(name: str, value: object) -> str:
    """A text with more than white space."""
    text = characters_of(name, value)
    if not text.strip():
        raise UsageError(f"{name} is empty")
    return text


def characters_of(name: str, value: object) -> str:
    """A text of whole characters."""
    if not isinstance(value, str):
        raise UsageError(f"{name} is not a text")
    return require_text(value, name)


READERS: Mapping[str, Callable[[str, object], Any]] = {
    "number": number_of,
    "count": whole_number_of,
    "numbers": numbers_of,
    "texts": texts_of,
    "switch": switch_of,
}
"""How values of a kind are read."""
