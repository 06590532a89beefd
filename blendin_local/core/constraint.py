"""What an answer with a prescribed form may say next, as the loop and the models' contexts see it.

Here: `Constraint`, the interface, and `UNCONSTRAINED`, which allows everything.
Not here: how a JSON Schema, a regular expression or a grammar becomes one (`grammar`).
"""

from __future__ import annotations

from typing import Protocol

from blendin_local.core.distribution import Prediction


class Constraint(Protocol):
    """The texts that an answer may become.

    Every method takes the answer so far, whole or ending inside a character, and does not depend on what it
    was asked before.
    """

    def forced(self, text: bytes) -> bytes:
        """How `text` must go on, as far as there is one way only, in whole characters; often empty."""
        ...

    def must_end(self, text: bytes) -> bool:
        """Whether `text` is complete and nothing may follow."""
        ...

    def is_complete(self, text: bytes) -> bool | None:
        """Whether the answer may end after `text`; None where there is no form to complete."""
        ...

    def condition(self, prediction: Prediction, text: bytes) -> Prediction:
        """What a model predicts after `text`, on condition that its next token is a legal one."""
        ...


class _Unconstrained:
    """Every text is legal."""

    def forced(self, _text: bytes) -> bytes:
        return b""

    def must_end(self, _text: bytes) -> bool:
        return False

    def is_complete(self, _text: bytes) -> None:
        return None

    def condition(self, prediction: Prediction, _text: bytes) -> Prediction:
        return prediction


UNCONSTRAINED: Constraint = _Unconstrained()
"""The constraint of an answer without a prescribed form."""
