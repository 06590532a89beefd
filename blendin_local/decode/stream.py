"""An answer while it grows.

Here: `AnswerStream`: one task, run step by step, in its turn.
Not here: the rule of an answer (`decode.respond`), what is counted on the way (`decode.stats`), whose turn
it is (`decode.pair_lock`), prompts and signatures (`pair`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from blendin_local.core.records import Completion, Step
from blendin_local.core.text import HoldBack
from blendin_local.decode.driver import drive
from blendin_local.decode.pair_lock import Turn, Turns
from blendin_local.decode.request import RoleContexts, Task, start_request
from blendin_local.decode.respond import Ending
from blendin_local.decode.stats import GenerationStats


class AnswerStream:
    """The steps of one answer as they are decided; iterate once, then read `completion`.

    It may be left early: the models are in step again at the next answer. Another answer of the same pair
    ends this one: to go on with it raises `PairError`. One that has not begun yet begins in its turn.

    Args:
        task: What is to be answered.
        place: The role contexts of one conversation.
        should_stop: Polled between steps and during long evaluations.
        turns: Those of the role contexts' pair.

    Attributes:
        settings: What the answer was asked for with, the seed and the template's stop strings filled in.
        signature: Everything that decides which bytes the answer has.

    Raises:
        ContextFullError: A prompt is longer than its context.
        UsageError: A prompt is empty.
        PairError: Another answer is being made, or the pair is closed.
    """

    def __init__(
        self, task: Task, place: RoleContexts, should_stop: Callable[[], bool], turns: Turns
    ) -> None:
        self.settings = task.settings
        self.signature = task.signature
        self._task = task
        self._place = place
        self._should_stop = turns.stopping(should_stop)
        self._turns = turns
        self._completion: Completion | None = None
        self._running: Generator[Step, None, Completion] | None = None
        self._turn: Turn | None = self._sit_down()

    def _sit_down(self) -> Turn:
        turn = self._turns.begin()
        with self._turns.playing(turn):
            start_request(self._task, self._place)
        return turn

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        if self._turn is None:
            raise StopIteration
        if self._running is None and not self._turns.holds(self._turn):
            self._turn = self._sit_down()  # another answer was made since this one was asked for
        with self._turns.playing(self._turn):
            if self._running is None:
                self._running = _run(self._task, self._place, self._should_stop)
            try:
                return next(self._running)
            except BaseException as ending:
                if isinstance(ending, StopIteration):
                    self._completion = ending.value
                self._turn = None
                raise

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

    def close(self) -> None:
        """Give up the answer, so that another thread may ask; calling it twice is harmless."""
        self._turn = None


def _run(
    task: Task, place: RoleContexts, should_stop: Callable[[], bool]
) -> Generator[Step, None, Completion]:
    """The steps of a started answer; a function, so that a stream does not refer to itself."""
    role_contexts = {role: place[role] for role in task.prompts}
    stats = GenerationStats(task, role_contexts)
    running = drive(task.answer(), role_contexts, should_stop)
    while True:
        try:
            step = next(running)
        except StopIteration as finished:
            ending: Ending = finished.value
            break
        stats.note(step)
        yield step
    for role_context in role_contexts.values():
        role_context.finish(ending.text)
    return stats.close(ending)
