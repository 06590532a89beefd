"""Definitions as llguidance's grammars, checked within bounds before a model is loaded.

Here: `compile_definition` and `require_form`.
Not here: how one is read (`grammar.reading`), matching an answer.
"""

from __future__ import annotations

import re
from functools import lru_cache

from blendin_local.core.text import require_text
from blendin_local.errors import UsageError
from blendin_local.grammar.bounded import read_bounded
from blendin_local.grammar.definition import Definition, definition_of
from blendin_local.grammar.messages import too_large
from blendin_local.grammar.source import MAX_BYTES
from blendin_local.settings import AnswerSettings

SMALL = 2000  # characters of a JSON Schema or a regular expression that are read in this process
MAX_NESTING = 20  # of its brackets, likewise
COSTLY = re.compile(r"multipleOf|\\u")
"""Remainders of division, which take much memory; an escape may hide the word."""


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
    if not _is_small(definition):
        return read_bounded(definition)
    from blendin_local.grammar.reading import read_definition  # noqa: PLC0415 - `--help` must not wait for it

    try:
        return read_definition(definition)
    except RecursionError:
        raise too_large(definition) from None


def _is_small(definition: Definition) -> bool:
    """Whether a definition needs little time and memory, whatever it is; a few rules can need much."""
    if definition.kind in {"gbnf", "lark"} or len(definition.text) > SMALL:
        return False
    nesting = deepest = 0
    for each in definition.text:
        nesting += (each in "([{") - (each in ")]}")
        deepest = max(deepest, nesting)
    return deepest <= MAX_NESTING and not COSTLY.search(definition.text)


def require_form(answer: AnswerSettings) -> None:
    """Raise `UsageError` unless the form that an answer must have can be checked."""
    if (definition := definition_of(answer)) is not None:
        compile_definition(definition)
