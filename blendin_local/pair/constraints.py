"""The constraints of a pair's answers.

Here: `Constraints`, which makes one for each answer that has a prescribed form.
Not here: how the form is matched (`grammar`), what it does to an answer (`decode.respond`).
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from blendin_local.core.candidates import TokenTable
from blendin_local.core.constraint import UNCONSTRAINED, Constraint
from blendin_local.core.records import Step
from blendin_local.engine.machine import available_memory
from blendin_local.errors import UsageError
from blendin_local.grammar.definition import Definition

if TYPE_CHECKING:
    from blendin_local.grammar.vocabulary import GrammarVocabulary

BYTES_PER_TOKEN = 1500  # of both vocabularies, which building the common one takes for a while; half stays


class Constraints:
    """Makes constraints for answers of one pair; the vocabulary they need is built with the first.

    Args:
        tables: The tokens of each model.
    """

    def __init__(self, tables: Sequence[TokenTable]) -> None:
        self._tables = tables
        self._vocabulary: GrammarVocabulary | None = None
        self._lock = Lock()

    def of(self, definition: Definition | None, start: Sequence[Step] = ()) -> Constraint:
        """The constraint of one answer.

        Args:
            definition: What it must match; None for any text.
            start: The steps that it begins with.

        Raises:
            UsageError: The definition is wrong, or no answer that matches it begins so.
        """
        if definition is None:
            return UNCONSTRAINED
        from blendin_local.grammar.compilation import compile_definition  # noqa: PLC0415 - other answers
        from blendin_local.grammar.matcher import GrammarConstraint  # noqa: PLC0415 - need no llguidance

        constraint = GrammarConstraint(self._common_vocabulary(), compile_definition(definition))
        text = b"".join(step.bytes for step in start)
        if not constraint.accepts(text):
            raise UsageError(
                f"the beginning of the answer does not match {definition.name}: {text.decode()[:80]!r}",
                "begin otherwise, or leave out one of the two",
            )
        return constraint

    def _common_vocabulary(self) -> GrammarVocabulary:
        """The tokens of all models; single bytes only where memory is short."""
        from blendin_local.grammar.vocabulary import GrammarVocabulary  # noqa: PLC0415 - see above

        with self._lock:
            if self._vocabulary is None:
                needed = BYTES_PER_TOKEN * sum(map(len, self._tables))
                self._vocabulary = GrammarVocabulary(self._tables if available_memory() > needed else ())
            return self._vocabulary
