"""Reading a text with the logits at every place, not only at its end.

Here: `logits_along`, which keeps within the few logits that one call may give.
Not here: the call (`engine.context`), what the logits say about a token (`core.token_scores`).
Source: llama.cpp keeps a row over the vocabulary for each token whose logits are wanted, and ends the process
where a call wants more rows than the context has room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from blendin_local.engine.context import Context
from blendin_local.engine.sequence import Lane


def logits_along(
    context: Context, lane: Lane, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[NDArray[np.float32]]:
    """The logits after the last token of a lane's prompt and after each token that follows it.

    Args:
        context: The lane's context.
        lane: Begun with a prompt; tokens may follow it in `ids`.
        should_stop: Polled during evaluations.

    Yields:
        Shape (n_vocab,), `len(lane.ids) - lane.n_prompt + 1` times; views, to be used before the next.

    Raises:
        ContextFullError: The lane has more tokens than its context.
        StoppedError: `should_stop` became true.
    """
    first = lane.n_prompt - 1
    context.require_room(lane)
    context.rewind(lane, first)
    while lane.in_prompt:
        context.advance([lane], should_stop)
        context.rewind(lane, first)  # a prompt that another lane has read is borrowed, and read to its end
    while lane.n_valid < len(lane.ids):
        yield from context.read_on(lane, should_stop)
