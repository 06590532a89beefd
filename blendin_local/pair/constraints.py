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
PLENTY = 4  # times what it takes: then it may be built although nobody has asked for a form yet


class Constraints:
    """Makes constraints for answers of one pair; the vocabulary they need is built with the first.

    Args:
        tables: The tokens of each model; none where predictions are conditioned already.
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
            raise _no_beginning(definition, text, is_chosen=start[-1].source == "chosen")
        return constraint

    def prepare(self) -> None:
        """Build the vocabulary now if memory is plentiful: for a second nothing else runs in this process.

        llguidance holds Python's global lock meanwhile, so that a thread of its own does not help.
        """
        if available_memory() > PLENTY * self._needed:
            self._common_vocabulary()

    @property
    def _needed(self) -> int:
        """Bytes of memory."""
        return BYTES_PER_TOKEN * sum(map(len, self._tables))

    def _common_vocabulary(self) -> GrammarVocabulary:
        """The tokens of all models; single bytes only where memory is short."""
        from blendin_local.grammar.vocabulary import GrammarVocabulary  # noqa: PLC0415 - see above

        with self._lock:
            if self._vocabulary is None:
                enough = available_memory() > self._needed
                self._vocabulary = GrammarVocabulary(self._tables if enough else ())
            return self._vocabulary


def _no_beginning(definition: Definition, text: bytes, *, is_chosen: bool) -> UsageError:
    """No answer begins with this text, whose end a user may have chosen."""
    shown = text.decode("utf-8", "replace")
    if is_chosen:
        return UsageError(
            f"no answer that matches {definition.name} goes on with the chosen candidate: {shown[-80:]!r}",
            "choose another candidate",
        )
    return UsageError(
        f"the beginning of the answer does not match {definition.name}: {shown[:80]!r}",
        "begin otherwise, or leave out one of the two",
    )
