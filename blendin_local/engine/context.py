"""A context: one model's KV cache, its sequences, and the logits after each of them.

Here: `Context.predict` and `advance`, the only place that calls `llama_decode`.
Not here: which tokens a sequence should hold (`engine.sequence`), what the logits mean (`core.distribution`).
Source: llama.cpp. Sequences share one buffer of cells (`kv_unified`): with a buffer each, a batch is split
wherever the numbers of its sequences have a gap, and of the guide's sequences only some are asked at a step.
Sequences of a model with sliding windows have a buffer each all the same: in a shared one, llama.cpp gives
cells that left one sequence's window to another, and no rewind brings them back. Logits live in a buffer that
the next decode overwrites, so they are handed out as views to be used at once. A decode is interrupted
through an abort callback, called between graph nodes; what is raised there is raised again after the call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blendin_local.engine.batch import MAX_OUTPUTS, BatchSlice, TokenBatch, limit_drafts, max_rows, n_outputs
from blendin_local.engine.callbacks import StopCallback
from blendin_local.engine.context_parameters import context_parameters
from blendin_local.engine.eval_costs import EvalCosts
from blendin_local.engine.library import as_address, library
from blendin_local.engine.model import Model
from blendin_local.engine.padding import BatchPadding
from blendin_local.engine.places import close_gaps
from blendin_local.engine.prefill import batch_tokens, prefill_chunk
from blendin_local.engine.rewind import rewinder_for
from blendin_local.engine.sequence import MIN_SHARED_PREFIX, EvalCounter, TokenSequence
from blendin_local.engine.thread_governor import ThreadGovernor
from blendin_local.errors import ContextFullError, LoadError, PairError

SLOW_DECODE_S = 0.1  # above this a single token is worth interrupting too


class StoppedError(Exception):
    """The user stopped an evaluation; the sequences are as they were before it, or shorter."""


class Context:
    """Room for one or more conversations with one model.

    Args:
        model: The model; it must be closed after this context.
        ctx_size: Tokens per conversation.
        threads: Threads for every evaluation.
        n_parallel: Number of conversations.
        governor: Chooses the number of threads before each evaluation; None for always `threads`.

    Raises:
        LoadError: llama.cpp could not allocate it.
        PairError: The model keeps no memory of its text, so it cannot continue one.
    """

    def __init__(
        self,
        model: Model,
        ctx_size: int,
        threads: int,
        n_parallel: int = 1,
        governor: ThreadGovernor | None = None,
    ) -> None:
        self._api = library().api
        self.model = model
        self.threads = threads
        self._governor = governor
        self._one_buffer = n_parallel > 1 and model.n_sliding_window == 0
        self.counter = EvalCounter()
        self.prefill_chunk = prefill_chunk(model.settings, offloads=model.n_offloaded > 0)
        self.costs = EvalCosts()
        self.handle: Any = self._open(ctx_size, n_parallel)
        self.ctx_size = min(ctx_size, int(self._api.llama_n_ctx_seq(self.handle)))
        self._batch = TokenBatch(int(self._api.llama_n_batch(self.handle)))
        memory = self._api.llama_get_memory(self.handle)
        if not memory:
            self.close()
            raise PairError(f"{model.path} keeps no memory of a text, so it cannot continue one")
        self.rewinder = rewinder_for(model, self.handle, memory, full_windows=model.settings.swa_full)
        self._abort = StopCallback(self._api.ggml_abort_callback, lambda: False, stop_value=True)
        self._callbacks = {True: self._abort.function, False: self._api.ggml_abort_callback(0)}
        self._abort_polling = False
        self._last_decode_s = 0.0
        self._logits_at = as_address(self._api.llama_get_logits_ith, ctypes.c_void_p, ctypes.c_int32)
        self._row = ctypes.c_float * model.vocabulary.n_tokens
        self._views: dict[int, NDArray[np.float32]] = {}
        reuse_step = self.prefill_chunk if n_parallel == 1 else 1
        self.max_rows = max_rows(n_parallel)
        self.sequences = tuple(
            TokenSequence(i, model.vocabulary, reuse_step, self.prefill_chunk) for i in range(n_parallel)
        )
        self._padding = BatchPadding(
            self._batch, self.rewinder, self.ctx_size, n_outputs(n_parallel), one_buffer=self._one_buffer
        )

    def _open(self, ctx_size: int, n_parallel: int) -> Any:
        parameters = context_parameters(
            self.model.settings,
            n_batch=batch_tokens(self.prefill_chunk, n_parallel),
            threads=self.threads,
            n_ctx=ctx_size * n_parallel,
            n_seq_max=n_parallel,
            n_outputs_max=n_outputs(n_parallel),
            kv_unified=self._one_buffer,
            **self._more_parameters(),
        )
        library().clear_errors()
        handle = self._api.llama_init_from_model(self.model.handle, parameters)
        if handle is None:
            raise LoadError(
                f"no context of {ctx_size * n_parallel} tokens for {self.model.path}: "
                f"{library().reason('llama.cpp gave no reason')}",
                "try a smaller --ctx-size",
            )
        return handle

    def _more_parameters(self) -> dict[str, Any]:
        """Further fields of the struct that the context is made with, for a context that does more."""
        return {}

    def use_threads(self, threads: int) -> None:
        """Set the number of threads for later evaluations of single tokens and batches."""
        if threads != self.threads:
            self._api.llama_set_n_threads(self.handle, threads, threads)
            self.threads = threads

    def predict(
        self, sequences: Sequence[TokenSequence], should_stop: Callable[[], bool] = lambda: False
    ) -> list[NDArray[np.float32]]:
        """Read what the sequences have not read yet, all in shared batches.

        Args:
            sequences: Different sequences of this context, each with at least one token.
            should_stop: Polled during long evaluations.

        Returns:
            Per sequence the logits after its last token, shape (n_vocab,): views that the next call
            overwrites.

        Raises:
            ContextFullError: A sequence has more tokens than its context.
            StoppedError: `should_stop` became true.
        """
        results: dict[TokenSequence, NDArray[np.float32]] = {}
        waiting = list(sequences)
        while waiting:
            ready = self.advance(waiting, should_stop)
            waiting = [sequence for sequence in waiting if sequence not in ready]
            results |= {
                sequence: rows[-1].copy() if waiting else rows[-1] for sequence, rows in ready.items()
            }
        return [results[sequence] for sequence in sequences]

    def advance(
        self,
        sequences: Sequence[TokenSequence],
        should_stop: Callable[[], bool] = lambda: False,
        spare: Sequence[TokenSequence] = (),
    ) -> dict[TokenSequence, list[NDArray[np.float32]]]:
        """Evaluate one batch of what the sequences have not read yet.

        Tokens of answers come first; each prompt then adds at most one prefill chunk to the batch.

        Args:
            sequences: As for `predict`.
            should_stop: As for `predict`.
            spare: Other sequences, which no answer uses. They may fill up a batch; what they have read stays.

        Returns:
            For the sequences that have read everything now, the logits after the last of their `ids`, unless
            these were read before, and after each token of their draft that was read now. Views as in
            `predict`. The other sequences need further calls.
        """
        for sequence in sequences:
            self.require_room(sequence)
            self._drop_stale(sequence)
            self._copy_shared_prefix(sequence)
            self._checkpoint(sequence)
        limit_drafts(sequences, self.max_rows)
        slices = self._fill_batch(sorted(sequences, key=lambda sequence: sequence.in_prompt))
        if len(self.sequences) > 1 and not self.model.settings.reproducible:
            self._padding.add(slices, spare)
        try:
            self._decode(slices, should_stop)
        finally:
            self._padding.remove()
        return {
            batch_slice.sequence: [self._logits(row) for row in batch_slice.rows]
            for batch_slice in slices
            if batch_slice.complete
        }

    def close_gaps(self, in_use: Sequence[TokenSequence]) -> None:
        """Move sequences in use where gaps in their numbers cost time; others may lose what they read."""
        if not self._one_buffer and self.rewinder.can_copy:
            close_gaps(self.sequences, in_use, self.rewinder)

    def _drop_stale(self, sequence: TokenSequence) -> None:
        """Remove from the cache what is no longer valid.

        Without evaluating a token there are no logits, so the last one is read again if nothing else is new.
        """
        if sequence.n_unread:
            self.rewind(sequence, sequence.n_valid)
        else:
            self.rewind(sequence, len(sequence.ids) - 1)

    def _require_open(self) -> None:
        if self.handle is None:
            raise PairError(f"the context of {self.model.path} is closed", "open the model again")

    def require_room(self, sequence: TokenSequence) -> None:
        """Raise `ContextFullError` where a sequence has more tokens than its context."""
        if len(sequence.ids) > self.ctx_size:
            raise ContextFullError(n_prompt=len(sequence.ids), n_ctx=self.ctx_size)

    def _copy_shared_prefix(self, sequence: TokenSequence) -> None:
        """Take over the beginning of a sequence's prompt from another sequence that has read it."""
        if not (sequence.in_prompt and self.rewinder.can_copy and len(self.sequences) > 1):
            return
        prompt = sequence.ids[: sequence.n_prompt]
        donor = max(self.sequences, key=lambda other: other.shared_prompt(prompt))
        n_shared = donor.shared_prompt(prompt)
        if n_shared - sequence.n_valid >= MIN_SHARED_PREFIX:
            self.rewinder.copy(donor.seq_id, sequence.seq_id, n_shared)
            sequence.shrink_to(n_shared)

    def _fill_batch(self, sequences: Sequence[TokenSequence]) -> list[BatchSlice]:
        """Fill the batch with what the sequences read next.

        A prefill chunk is not parted, unless it is larger than a whole batch; one that another sequence reads
        in this batch is waited for. The first sequences come first, but lie in the batch by their numbers:
        only so can llama.cpp evaluate sequences that have a buffer each at once.
        """
        chosen: list[tuple[TokenSequence, list[int]]] = []
        room = self._batch.capacity
        for sequence in sequences:
            may_borrow = sequence.in_prompt and self.rewinder.can_copy
            if may_borrow and any(other.will_share_with(sequence) for other, _ in chosen):
                continue
            tokens = sequence.tokens(sequence.n_valid, self._stop_at(sequence))
            if chosen and len(tokens) > room:
                continue
            chosen.append((sequence, tokens[:room]))
            room = max(0, room - len(tokens))
        self._batch.clear()
        return [self._add(sequence, tokens) for sequence, tokens in sorted(chosen, key=lambda c: c[0].seq_id)]

    def _add(self, sequence: TokenSequence, tokens: list[int]) -> BatchSlice:
        complete = len(tokens) == sequence.n_unread
        n_rows = min(len(tokens), 1 + len(sequence.draft)) if complete else 0
        rows = self._batch.add(sequence.seq_id, sequence.n_valid, tokens, n_rows)
        return BatchSlice(sequence, len(tokens), rows, complete)

    def _stop_at(self, sequence: TokenSequence) -> int:
        """Where a sequence's next evaluation should end: at a chunk's end, or where a checkpoint is due."""
        last = len(sequence.ids) - 1
        if sequence.n_valid < last < sequence.chunk_end and self.rewinder.wants_checkpoint(
            sequence.seq_id, last
        ):
            return last
        return sequence.chunk_end

    def next_logits(
        self, sequence: TokenSequence, should_stop: Callable[[], bool] = lambda: False, n: int = MAX_OUTPUTS
    ) -> Iterator[NDArray[np.float32]]:
        """The logits after each of the next `n` tokens of a sequence, `MAX_OUTPUTS` at most; as in `predict`.

        One call may ask for so many rows at most: with more than the context has room for, llama.cpp ends the
        process.
        """
        self._require_open()
        self.require_room(sequence)
        self._checkpoint(sequence)
        tokens = sequence.ids[sequence.n_valid : sequence.n_valid + min(n, MAX_OUTPUTS)]
        complete = sequence.n_valid + len(tokens) == len(sequence.ids)
        self._batch.clear()
        rows = self._batch.add(sequence.seq_id, sequence.n_valid, tokens, n_rows=len(tokens))
        self._decode([BatchSlice(sequence, len(tokens), rows, complete)], should_stop)
        return (self._logits(row) for row in rows)

    def copy(self, source: TokenSequence, target: TokenSequence) -> None:
        """Have `target` go on where `source` is; both stay sequences of their own."""
        self._require_open()
        self.rewinder.copy_whole(source.seq_id, target.seq_id)
        target.take_over(source)

    def rewind(self, sequence: TokenSequence, keep: int) -> None:
        """Keep at most the first `keep` valid tokens; fewer, where the memory cannot go there."""
        self._require_open()
        keep = min(sequence.n_valid, keep)
        if keep < sequence.n_cached:
            sequence.shrink_to(self.rewinder.rewind(sequence.seq_id, keep, sequence.n_cached))

    def _decode(self, slices: Sequence[BatchSlice], should_stop: Callable[[], bool]) -> None:
        n_tokens = self._batch.n_tokens
        self._abort.answer = should_stop
        if self._governor is not None:
            self.use_threads(self._governor.choose())
        self._set_abort_polling(n_tokens > 8 or self._last_decode_s > SLOW_DECODE_S)
        library().clear_errors()
        started = perf_counter()
        code = self._api.llama_decode(self.handle, self._batch.struct)
        self._api.llama_synchronize(self.handle)
        self._last_decode_s = perf_counter() - started
        self.counter.decode_s += self._last_decode_s
        if code != 0:
            self._undo(slices)
            self._abort.raise_again()
            raise self._failure(code)
        if self._batch.n_rows == n_tokens:
            self.costs.note(n_tokens, self._last_decode_s)
        else:
            self.costs.note_prefill(n_tokens, self._last_decode_s)
        self._padding.note(self._last_decode_s)
        n_tokens -= self._padding.n_added
        self.counter.tokens += n_tokens
        for batch_slice in slices:
            sequence = batch_slice.sequence
            sequence.counter.tokens += batch_slice.n_tokens
            sequence.counter.decode_s += self._last_decode_s * batch_slice.n_tokens / n_tokens
            sequence.counter.evaluations[self.threads] += 1
            sequence.shrink_to(sequence.n_valid + batch_slice.n_tokens)
        self._abort.raise_again()

    def _checkpoint(self, sequence: TokenSequence) -> None:
        """Keep a checkpoint before a sequence's last token, if its memory needs one."""
        if sequence.n_valid == len(sequence.ids) - 1 and self.rewinder.wants_checkpoint(
            sequence.seq_id, sequence.n_valid
        ):
            self.rewinder.checkpoint(sequence.seq_id, sequence.n_valid)

    def keep_place(self, sequence: TokenSequence) -> None:
        """Have the sequence be able to come back to where it is now, whatever its memory."""
        self.rewinder.checkpoint(sequence.seq_id, sequence.n_valid)

    def _set_abort_polling(self, enabled: bool) -> None:
        """Have llama.cpp poll `should_stop` or not; the callback costs 2 % of a fast token."""
        if enabled != self._abort_polling:
            self._api.llama_set_abort_callback(self.handle, self._callbacks[enabled], None)
            self._abort_polling = enabled

    def _undo(self, slices: Sequence[BatchSlice]) -> None:
        """Remove what a failed decode may have left behind."""
        for batch_slice in slices:
            sequence = batch_slice.sequence
            sequence.shrink_to(
                self.rewinder.rewind(
                    sequence.seq_id, sequence.n_valid, sequence.n_valid + batch_slice.n_tokens
                )
            )

    def _failure(self, code: int) -> Exception:
        if code == 2:
            return StoppedError()
        if code == 1:
            return ContextFullError(n_prompt=self._batch.n_tokens, n_ctx=self.ctx_size)
        reason = library().reason("no reason given")
        return PairError(f"llama.cpp could not evaluate {self.model.path} (code {code}): {reason}")

    def _logits(self, row: int) -> NDArray[np.float32]:
        address = self._logits_at(self.handle, row)
        assert address, "logits are read only where the batch requested them"
        if address not in self._views:  # there are few addresses, and looking one up is cheaper than a view
            floats: Any = self._row.from_address(address)
            self._views[address] = np.frombuffer(floats, dtype=np.float32)
        return self._views[address]

    def close(self) -> None:
        """Free the KV cache; calling it twice is harmless."""
        if self.handle is not None:
            self._batch.close()
            self._api.llama_free(self.handle)
            self.handle = None
