"""The driver of one answer: runs the models that answer the questions of `respond`.

Here: `Generation`, one answer in progress, and `drive`, which runs it.
Not here: what is asked and why (`decode.respond`), how a model's context follows the text
(`decode.role_context`), many answers at once (`decode.scheduler`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

from blendin_local.core.distribution import Prediction
from blendin_local.core.methods import Role
from blendin_local.core.records import Step, StoppedBy
from blendin_local.decode.drafter import Drafter, Proposal
from blendin_local.decode.respond import AnswerGenerator, Ending, Question
from blendin_local.decode.role_context import RoleContext
from blendin_local.engine.context import StoppedError
from blendin_local.errors import ContextFullError


class Generation:
    """One answer in progress; its role contexts are kept in sync.

    Args:
        answer: A fresh `respond` generator.
        role_contexts: A role context, begun with its prompt, for each role the method may ask.

    Attributes:
        text: The answer so far.
        start: The steps that it begins with, as far as they need no prediction.
        question: The open question, None once the answer has ended.
    """

    def __init__(self, answer: AnswerGenerator, role_contexts: Mapping[Role, RoleContext]) -> None:
        self.text = b""
        self.question: Question | None = None
        self._answer = answer
        self._role_contexts = role_contexts
        self._ending: Ending | None = None
        self.start = self.feed(None)
        self._n_start_bytes = len(self.text)

    @property
    def ending(self) -> Ending:
        """How it ended. RuntimeError before it has."""
        if self._ending is None:
            raise RuntimeError("the answer has not ended: it still has a question")
        return self._ending

    def feed(self, prediction: Prediction | None) -> list[Step]:
        """AnswerGenerator the open question (None begins); returns the steps decided by that."""
        steps: list[Step] = []
        try:
            exchange = self._answer.send(prediction)
            while not isinstance(exchange, Question):
                self.text += exchange.bytes
                for role_context in self._role_contexts.values():
                    role_context.accept_proposed(self.text)
                steps.append(exchange)
                exchange = self._answer.send(None)
            self.question = exchange
        except StopIteration as finished:
            self.question, self._ending = None, finished.value
        return steps

    def stop(self, stopped_by: StoppedBy) -> None:
        """End the answer; its text so far is kept."""
        self.question, self._ending = None, Ending(self.text, stopped_by)

    def stop_full(self, error: ContextFullError) -> None:
        """End the answer because its context is full; raise the error if no model has added to it yet."""
        if len(self.text) == self._n_start_bytes:
            raise error
        self.stop("context")


def drive(
    answer: AnswerGenerator,
    role_contexts: Mapping[Role, RoleContext],
    should_stop: Callable[[], bool] = lambda: False,
    drafter: Drafter | None = None,
) -> Generator[Step, None, Ending]:
    """Run one answer on its models.

    Args:
        answer: A fresh `respond` generator.
        role_contexts: A role context, begun with its prompt, for each role the method may ask.
        should_stop: Polled between steps and during long evaluations.
        drafter: Proposes drafts; None for no drafts.

    Yields:
        Every step as soon as it is decided.

    Returns:
        How the answer ended; what was written before a stop or a full context is kept.
    """
    generation = Generation(answer, role_contexts)
    yield from generation.start
    while generation.question is not None:
        try:
            if should_stop():
                raise StoppedError
            prediction = _predict(generation.question, role_contexts, should_stop, drafter)
        except StoppedError:
            generation.stop("user")
        except ContextFullError as full:
            generation.stop_full(full)
        else:
            yield from generation.feed(prediction)
    return generation.ending


def _predict(
    question: Question,
    role_contexts: Mapping[Role, RoleContext],
    should_stop: Callable[[], bool],
    drafter: Drafter | None,
) -> Prediction:
    """Answer a question, with a draft where it needs an evaluation and a draft pays."""
    role_context, text = role_contexts[question.role], question.text
    if drafter is None or role_context is not drafter.checked:
        return role_context.predict(text, should_stop)
    return role_context.predict(text, should_stop, lambda: _finish(drafter.propose(text), should_stop))


def _finish(proposal: Proposal, should_stop: Callable[[], bool]) -> list[int]:
    """Run a proposal to its end."""
    while True:
        try:
            guide = next(proposal)
        except StopIteration as finished:
            draft: list[int] = finished.value
            return draft
        guide.read(should_stop)
