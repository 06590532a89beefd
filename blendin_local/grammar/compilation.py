"""Definitions as llguidance's grammars, checked within bounds before a model is loaded.

Here: `compile_definition` and `require_form`.
Not here: how one is read (`grammar.reading`), matching an answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from blendin_local.core.text import require_text
from blendin_local.errors import UsageError
from blendin_local.grammar.bounded import read_bounded
from blendin_local.grammar.definition import Definition, definition_of
from blendin_local.grammar.source import MAX_BYTES
from blendin_local.settings import AnswerSettings

SMALL = 2000  # characters that are read in this process
COSTLY: Mapping[str, re.Pattern[str]] = {
    "json_schema": re.compile(r"multipleOf|\\u"),  # an escape may hide the word
    "lark": re.compile(r"%json|[&~]"),
}
"""What can be costly in a few characters: remainders of division, intersections and complements."""


@lru_cache(maxsize=64)
def compile_definition(definition: Definition) -> str:
    """The grammar that llguidance's matcher takes.

    Args:
        definition: What an answer must match.

    Raises:
        UsageError: It is invalid, not supported, too large or too complex; the message has the place and
            the reason.
    """
    require_text(definition.text, definition.name)
    if len(definition.text) > MAX_BYTES:
        raise UsageError(f"{definition.name} has more than {MAX_BYTES:,} characters", "shorten it")
    costly = COSTLY.get(definition.kind)
    if len(definition.text) > SMALL or (costly and costly.search(definition.text)):
        return read_bounded(definition)
    from blendin_local.grammar.reading import read_definition  # noqa: PLC0415 - `--help` must not wait for it

    return read_definition(definition)


def require_form(answer: AnswerSettings) -> None:
    """Raise `UsageError` unless the form that an answer must have can be checked."""
    if (definition := definition_of(answer)) is not None:
        compile_definition(definition)
