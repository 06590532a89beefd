"""An answer while it grows.

Here: `AnswerStream`: one task, run step by step.
Not here: the rule of an answer (`decode.respond`), what is counted on the way (`decode.account`), prompts and
signatures (`pair`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from blendin_local.core.records import Completion, Step
from blendin_local.core.text import HoldBack
from blendin_local.decode.account import Account
from blendin_local.decode.drive import drive
from blendin_local.decode.respond import Ending
from blendin_local.decode.task import Seats, Task


class AnswerStream:
    """The steps of one answer as they are decided; iterate once, then read `completion`.

    It may be left early: the models are in step again at the next answer.

    Args:
        task: What is to be answered.
        seats: The seats it is answered in, begun.
        should_stop: Polled between steps and during long evaluations.

    Attributes:
        settings: What the answer was asked for with, the seed and the template's stop strings filled in.
        signature: Everything that decides which bytes the answer has.
    """

    def __init__(self, task: Task, seats: Seats, should_stop: Callable[[], bool]) -> None:
        self.settings = task.settings
        self.signature = task.signature
        self._task = task
        self._seats = seats
        self._should_stop = should_stop
        self._completion: Completion | None = None
        self._running = self._run()

    def __iter__(self) -> Iterator[Step]:
        return self._running

    def shown(self) -> Iterator[tuple[Step, str]]:
        """Steps with the text that may be shown: a stop string that may be beginning is held back."""
        hold = HoldBack(self.settings.answer.stop)
        for step in self:
            yield from hold.feed(step)
        yield from hold.flush()

    @property
    def completion(self) -> Completion:
        """The finished answer. RuntimeError before the iteration has ended."""
        if self._completion is None:
            raise RuntimeError("the answer is not finished: iterate over the stream first")
        return self._completion

    def _run(self) -> Iterator[Step]:
        account = Account(self._task, self._seats)
        running = drive(self._task.answer(), self._seats, self._should_stop)
        while True:
            try:
                step = next(running)
            except StopIteration as finished:
                ending: Ending = finished.value
                break
            account.note(step)
            yield step
        for seat in self._seats.values():
            seat.finish(ending.text)
        self._completion = account.close(ending)
