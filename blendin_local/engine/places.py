"""Which numbers the sequences of a context have.

Here: `close_gaps`, which gives the sequences in use the first numbers.
Not here: which sequences are in use (`decode.scheduler`).
Source: llama.cpp, `split_equal`: sequences that have a buffer each are evaluated at once only where their
numbers have no gap; each gap costs another pass over the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from blendin_local.engine.rewind import Rewinder
from blendin_local.engine.sequence import TokenSequence


def close_gaps(
    sequences: Sequence[TokenSequence], in_use: Sequence[TokenSequence], rewinder: Rewinder
) -> None:
    """Give the sequences in use the numbers from 0 on, so that they have no gaps.

    Only as many move as there are gaps, the last ones first. Each takes what it has read with it, and swaps
    its number with a sequence that is not in use, which is then empty.

    Args:
        sequences: All sequences of the context.
        in_use: Those of answers.
        rewinder: The context's; it can copy.
    """
    holders = {sequence.seq_id: sequence for sequence in sequences}
    moving = sorted((each for each in in_use if each.seq_id >= len(in_use)), key=lambda each: -each.seq_id)
    gaps = [number for number in range(len(in_use)) if holders[number] not in in_use]
    for gap, sequence in zip(gaps, moving, strict=True):
        unused, before = holders[gap], sequence.seq_id
        rewinder.copy(before, gap, sequence.n_cached)
        rewinder.rewind(before, 0, sequence.n_cached)
        unused.shrink_to(0)
        unused.seq_id, sequence.seq_id = before, gap
