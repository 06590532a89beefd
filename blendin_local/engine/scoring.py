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
from blendin_local.engine.sequence import TokenSequence


def logits_along(
    context: Context, sequence: TokenSequence, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[NDArray[np.float32]]:
    """The logits after the last token of a sequence's prompt and after each token that follows it.

    Args:
        context: The sequence's context.
        sequence: Begun with a prompt; tokens may follow it in `ids`.
        should_stop: Polled during evaluations.

    Yields:
        Shape (n_vocab,), `len(sequence.ids) - sequence.n_prompt + 1` times; views, used before the next.

    Raises:
        ContextFullError: The sequence has more tokens than its context.
        StoppedError: `should_stop` became true.
    """
    first = sequence.n_prompt - 1
    context.require_room(sequence)
    context.rewind(sequence, first)
    while sequence.in_prompt:
        context.advance([sequence], should_stop)
        context.rewind(
            sequence, first
        )  # a prompt that another sequence has read is borrowed, and read to its end
    while sequence.n_valid < len(sequence.ids):
        yield from context.read_on(sequence, should_stop)
