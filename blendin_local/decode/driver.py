"""Who answers the questions of `respond`: the models.

Here: `Writing`, an answer on its way from question to question, and `drive`, which runs one.
Not here: what is asked and why (`decode.respond`), how a model keeps up with the text
(`decode.role_context`), many
answers at once (`decode.scheduler`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

from blendin_local.core.distribution import Prediction
from blendin_local.core.methods import Role
from blendin_local.core.records import Step, StoppedBy
from blendin_local.decode.respond import Answer, Ending, Question
from blendin_local.decode.role_context import Seat
from blendin_local.engine.context import StoppedError
from blendin_local.errors import ContextFullError


class Writing:
    """An answer being written; the seats go along with it.

    Args:
        answer: A fresh `respond` generator.
        seats: A seat, begun with its prompt, for each role the method may ask.

    Attributes:
        text: What is written.
        question: What it needs to know now, None once it has ended.
    """

    def __init__(self, answer: Answer, seats: Mapping[Role, Seat]) -> None:
        self.text = b""
        self.question: Question | None = None
        self._answer = answer
        self._seats = seats
        self._ending: Ending | None = None
        self.take(None)

    @property
    def ending(self) -> Ending:
        """How it ended. RuntimeError before it has."""
        if self._ending is None:
            raise RuntimeError("the answer has not ended: it still has a question")
        return self._ending

    def take(self, prediction: Prediction | None) -> list[Step]:
        """Answer the open question (None begins); returns the steps decided by that."""
        steps: list[Step] = []
        try:
            exchange = self._answer.send(prediction)
            while not isinstance(exchange, Question):
                self.text += exchange.bytes
                for seat in self._seats.values():
                    seat.follow(self.text)
                steps.append(exchange)
                exchange = self._answer.send(None)
            self.question = exchange
        except StopIteration as finished:
            self.question, self._ending = None, finished.value
        return steps

    def break_off(self, stopped_by: StoppedBy) -> None:
        """End it here; what is written is kept."""
        self.question, self._ending = None, Ending(self.text, stopped_by)

    def break_off_full(self, error: ContextFullError) -> None:
        """End it where its context is full; raise the error where nothing is written yet."""
        if not self.text:
            raise error
        self.break_off("context")


def drive(
    answer: Answer, seats: Mapping[Role, Seat], should_stop: Callable[[], bool] = lambda: False
) -> Generator[Step, None, Ending]:
    """Run one answer on its models.

    Args:
        answer: A fresh `respond` generator.
        seats: A seat, begun with its prompt, for each role the method may ask.
        should_stop: Polled between steps and during long evaluations.

    Yields:
        Every step as soon as it is decided.

    Returns:
        How the answer ended; what was written before a stop or a full context is kept.
    """
    writing = Writing(answer, seats)
    while writing.question is not None:
        try:
            if should_stop():
                raise StoppedError
            prediction = seats[writing.question.role].predict(writing.question.text, should_stop)
        except StoppedError:
            writing.break_off("user")
        except ContextFullError as full:
            writing.break_off_full(full)
        else:
            yield from writing.take(prediction)
    return writing.ending
