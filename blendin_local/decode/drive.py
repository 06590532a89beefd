"""Who answers the questions of `respond`: the models.

Here: `drive`, which runs one answer.
Not here: what is asked and why (`decode.respond`), how a model keeps up with the text (`decode.seat`).
Many answers at once need a second driver over the same seats: it collects the questions of all live answers
and calls `Context.predict` once per role.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

from blendin_local.core.methods import Role
from blendin_local.core.records import Step
from blendin_local.decode.respond import Answer, Ending, Question
from blendin_local.decode.seat import Seat
from blendin_local.engine.context import StoppedError
from blendin_local.errors import ContextFullError


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
    text = b""
    exchange = next(answer)
    while True:
        try:
            if isinstance(exchange, Question):
                if should_stop():
                    return Ending(text, "user")
                prediction = seats[exchange.role].predict(exchange.text, should_stop)
                exchange = answer.send(prediction)
            else:
                text += exchange.bytes
                for seat in seats.values():
                    seat.follow(text)
                yield exchange
                exchange = answer.send(None)
        except StopIteration as finished:
            ending: Ending = finished.value
            return ending
        except StoppedError:
            return Ending(text, "user")
        except ContextFullError:
            if not text:
                raise
            return Ending(text, "context")
