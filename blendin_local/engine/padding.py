"""Batch sizes that cost more than a larger one, and how they are avoided.

Here: `BatchSizes`, what evaluations of one token each of n sequences cost here, and to which number a batch
should be filled up; `BatchPadding`, which does it.
Not here: costs of several tokens of one sequence (`Context.costs`), which sequences are spare
(`decode.scheduler`).
Source: measured. llama.cpp's kernels take rows in groups; what remains of a group is evaluated row by row,
and may cost more than the whole group. Which numbers these are depends on machine, model and quantization.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from blendin_local.engine.batch import BatchSlice, TokenBatch
from blendin_local.engine.eval_costs import EvalCosts
from blendin_local.engine.rewind import Rewinder
from blendin_local.engine.sequence import TokenSequence

PADDING_TOKEN = 0  # any that every vocabulary has
MAX_PADDING = 3  # tokens tried above a number; groups have four rows, or a multiple of that
TRY_EVERY = 64  # batches of a number; a trial may cost a third more, so all trials cost half a per cent
WORTH_IT = 0.97  # a batch is filled up if that takes less than this share of the time without


class BatchSizes:
    """The measured costs of batches of one token per sequence, and which of them to run."""

    def __init__(self) -> None:
        self._costs = EvalCosts()
        self._n_wanted: Counter[int] = Counter()
        self._n_trials: Counter[int] = Counter()

    def note(self, n_tokens: int, seconds: float) -> None:
        """An evaluation of one token each of `n_tokens` sequences took so long."""
        self._costs.note(n_tokens, seconds)

    def best(self, n_tokens: int, limit: int) -> int:
        """How many tokens to evaluate where `n_tokens` are wanted: as many, or more where that is faster.

        When a number is wanted for the first time, and the 2nd, 4th, ... 64th, 128th, 192nd, ..., it and the
        next larger ones are tried in turns. So trials are rare, and neither mistakes nor changes last.

        Args:
            n_tokens: At least 1. A single token is never filled up.
            limit: The largest number that is possible.
        """
        if n_tokens < 2 or limit <= n_tokens:
            return n_tokens
        self._n_wanted[n_tokens] += 1
        n_wanted = self._n_wanted[n_tokens]
        if n_wanted % TRY_EVERY == 0 or (n_wanted < TRY_EVERY and n_wanted & (n_wanted - 1) == 0):
            self._n_trials[n_tokens] += 1
            return n_tokens + (self._n_trials[n_tokens] - 1) % (min(limit - n_tokens, MAX_PADDING) + 1)
        return self.best_known(n_tokens, limit)

    def best_known(self, n_tokens: int, limit: int) -> int:
        """The same without trials: of all numbers that were measured the cheapest, if it is worth it."""
        costs = self._costs
        measured = [n for n in range(n_tokens + 1, limit + 1) if costs.n_measured(n)]
        if not (measured and costs.n_measured(n_tokens)):
            return n_tokens
        cheapest = min(measured, key=costs.seconds)
        return cheapest if costs.seconds(cheapest) < WORTH_IT * costs.seconds(n_tokens) else n_tokens

    def rows(self, n_rows: int, limit: int) -> int:
        """After how many tokens of a batch to compute logits; `n_rows` are wanted, and more tokens are in it.

        Each row costs little, as its token is evaluated anyway. So a number that was never measured gives way
        to the next one that was.
        """
        if n_rows < 1 or self._costs.n_measured(n_rows):
            return self.best_known(n_rows, limit)
        return next((n for n in range(n_rows + 1, limit + 1) if self._costs.n_measured(n)), n_rows)


class BatchPadding:
    """Fills up the batches of one context; what it adds is evaluated, never read, and removed again.

    Args:
        batch: The batch of the context.
        rewinder: The context's.
        ctx_size: Tokens per sequence.
        n_outputs: For how many tokens of one call the context has room for logits.
        one_buffer: Whether all sequences share one buffer of cells. If each has its own, llama.cpp evaluates
            at once only sequences whose numbers have no gap.
    """

    def __init__(
        self, batch: TokenBatch, rewinder: Rewinder, ctx_size: int, n_outputs: int, *, one_buffer: bool
    ) -> None:
        self._batch = batch
        self._rewinder = rewinder
        self._ctx_size = ctx_size
        self._n_outputs = n_outputs
        self._one_buffer = one_buffer
        self._sizes = BatchSizes()
        self._added: list[TokenSequence] = []
        self._is_even = False  # one token each, of sequences that are evaluated at once

    def add(self, slices: Sequence[BatchSlice], spare: Sequence[TokenSequence]) -> None:
        """Fill up the batch.

        If each sequence in it has one token: with a token in each of some sequences that no answer uses. Else
        with logits, which nobody reads, after more of the tokens that are in it.

        Args:
            slices: What is in the batch.
            spare: Sequences of the context that no answer uses.
        """
        self._is_even = False
        if any(each.n_tokens > 1 or not each.rows for each in slices):
            self._want_rows(slices)
        elif self._is_together([each.sequence for each in slices]):
            self._is_even = True
            self._add_tokens(slices, spare)

    def _add_tokens(self, slices: Sequence[BatchSlice], spare: Sequence[TokenSequence]) -> None:
        if not self._rewinder.drops_any_tail:
            return
        usable = self._usable(slices[-1].sequence.seq_id, spare)
        n = self._sizes.best(len(slices), min(len(slices) + len(usable), self._n_outputs))
        for sequence in usable[: n - len(slices)]:
            self._batch.add(sequence.seq_id, sequence.n_cached, [PADDING_TOKEN], n_rows=1)
            self._added.append(sequence)

    def _want_rows(self, slices: Sequence[BatchSlice]) -> None:
        """Compute logits after the first tokens of sequences that have several.

        If each sequence has a buffer, the first tokens of all are evaluated at once, the others later.
        """
        n_all = sum(len(each.rows) for each in slices)
        n_rows = n_all if self._one_buffer else sum(len(each.rows) == each.n_tokens for each in slices)
        limit = min(len(slices), self._n_outputs - n_all + n_rows)
        missing = self._sizes.rows(n_rows, limit) - n_rows
        first = 0
        for each in slices:
            if len(each.rows) < each.n_tokens and missing > 0:
                self._batch.want_logits(first)
                missing -= 1
            first += each.n_tokens

    def _is_together(self, sequences: Sequence[TokenSequence]) -> bool:
        """Whether llama.cpp evaluates one token each of these sequences at once."""
        numbers = [sequence.seq_id for sequence in sequences]
        return self._one_buffer or numbers == list(range(numbers[0], numbers[0] + len(numbers)))

    def _usable(self, last: int, spare: Sequence[TokenSequence]) -> list[TokenSequence]:
        """The spare sequences with room for one token that can be evaluated after sequence number `last`."""
        usable: list[TokenSequence] = []
        for sequence in sorted(spare, key=lambda each: each.seq_id):
            follows = self._one_buffer or sequence.seq_id == last + len(usable) + 1
            if follows and sequence.n_cached < self._ctx_size:
                usable.append(sequence)
        return usable

    @property
    def n_added(self) -> int:
        """How many tokens were added to the batch."""
        return len(self._added)

    def note(self, seconds: float) -> None:
        """The evaluation of the batch took so long."""
        if self._is_even:
            self._sizes.note(self._batch.n_tokens, seconds)

    def remove(self) -> None:
        """Remove what was added from the KV cache, and be ready for the next batch."""
        for sequence in self._added:
            self._rewinder.rewind(sequence.seq_id, sequence.n_cached, sequence.n_cached + 1)
        self._added, self._is_even = [], False
