"""The logits along a given text, as its scores need them.

Here: `logits_after_prompt`.
Not here: the evaluations (`engine.context`), the scores (`decode.scoring`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from blendin_local.engine.context import Context
from blendin_local.engine.sequence import TokenSequence


def logits_after_prompt(
    context: Context,
    sequence: TokenSequence,
    should_stop: Callable[[], bool] = lambda: False,
    n_skipped: int = 0,
) -> Iterator[NDArray[np.float32]]:
    """The logits after the last prompt token and after each token that follows the prompt.

    Args:
        context: A context.
        sequence: A sequence of it with a prompt; tokens may follow it in `ids`.
        should_stop: Polled during evaluations.
        n_skipped: How many of the first rows to leave out; the tokens before them are read again only where
            they must be.

    Yields:
        Shape (n_vocab,), `len(sequence.ids) - sequence.n_prompt + 1 - n_skipped` times; each is a view, valid
        until the next one is read.

    Raises:
        ContextFullError: The sequence has more tokens than its context.
        StoppedError: `should_stop` became true.
    """
    first = sequence.n_prompt - 1 + n_skipped
    context.require_room(sequence)
    context.rewind(sequence, first)
    while sequence.in_prompt:
        context.advance([sequence], should_stop)
        context.rewind(sequence, first)  # a prefix copied from another sequence may include the last token
    while sequence.n_valid < first:  # not every memory goes back to where it is asked to
        context.next_logits(sequence, should_stop, first - sequence.n_valid)
    context.keep_place(sequence)
    while sequence.n_valid < len(sequence.ids):
        yield from context.next_logits(sequence, should_stop)
