"""A context: one model's KV cache, its lanes, and the logits after each of them.

Here: `Context.predict` and `advance`, the only place that calls `llama_decode`.
Not here: which tokens a lane should hold (`engine.sequence`), what the logits mean (`core.distribution`).
Source: llama.cpp. Lanes share one buffer of cells (`kv_unified`): with a buffer each, a batch is split
wherever the numbers of its lanes have a gap, and of the guide's lanes only some are asked at a step. Lanes of
a model with sliding windows have a buffer each all the same: in a shared one, llama.cpp gives cells that left
one lane's window to another, and no rewind brings them back. Logits live in a buffer that the next decode
overwrites, so they are handed out as views to be used at once. A decode is interrupted through an abort
callback, called between graph nodes; what is raised there is raised again after the call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blendin_local.engine.batch import READ_AT_ONCE, Batch, Share, n_outputs
from blendin_local.engine.callbacks import Question
from blendin_local.engine.library import library, set_fields
from blendin_local.engine.model import Model
from blendin_local.engine.rewind import rewinder_for
from blendin_local.engine.sequence import PORTION, WORTH_LENDING, Lane, Tally
from blendin_local.engine.threads import Pace
from blendin_local.errors import ContextFullError, LoadError, PairError
from blendin_local.settings import FlashAttention, KvType

BATCH_TOKENS = 512
SLOW_DECODE_S = 0.1  # above this a single token is worth interrupting too

GGML_TYPES: dict[KvType, int] = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}
FLASH_ATTENTION: dict[FlashAttention, int] = {"auto": -1, "off": 0, "on": 1}


class StoppedError(Exception):
    """The user stopped an evaluation; the lanes are as they were before it, or shorter."""


class Context:
    """Room for one or more conversations with one model.

    Args:
        model: The model; it must be closed after this context.
        ctx_size: Tokens per conversation.
        threads: Threads for every evaluation.
        n_lanes: How many conversations.
        pace: Chooses the threads anew before each evaluation; None keeps to `threads`.

    Raises:
        LoadError: llama.cpp could not allocate it.
        PairError: The model keeps no memory of its text, so it cannot continue one.
    """

    def __init__(
        self, model: Model, ctx_size: int, threads: int, n_lanes: int = 1, pace: Pace | None = None
    ) -> None:
        self._api = library().api
        self.model = model
        self.threads = threads
        self._pace = pace
        self.tally = Tally()
        self.handle: Any = self._open(ctx_size, n_lanes)
        self.ctx_size = min(ctx_size, int(self._api.llama_n_ctx_seq(self.handle)))
        self._batch = Batch(int(self._api.llama_n_batch(self.handle)))
        memory = self._api.llama_get_memory(self.handle)
        if not memory:
            self.close()
            raise PairError(f"{model.path} keeps no memory of a text, so it cannot continue one")
        self.rewinder = rewinder_for(model, self.handle, memory, full_windows=model.settings.swa_full)
        self._abort = Question(self._api.ggml_abort_callback, lambda: False, to_end=True)
        self._callbacks = {True: self._abort.function, False: self._api.ggml_abort_callback(0)}
        self._watched = False
        self._last_decode_s = 0.0
        self._row = ctypes.c_float * model.vocabulary.n_tokens
        grain = PORTION if n_lanes == 1 else 1
        self.lanes = tuple(Lane(i, model.vocabulary, grain) for i in range(n_lanes))

    def _open(self, ctx_size: int, n_lanes: int) -> Any:
        settings = self.model.settings
        parameters = self._api.llama_context_default_params()
        set_fields(
            parameters,
            n_ctx=ctx_size * n_lanes,
            n_batch=BATCH_TOKENS,
            n_ubatch=BATCH_TOKENS,
            n_seq_max=n_lanes,
            n_outputs_max=n_outputs(n_lanes),
            kv_unified=n_lanes > 1 and self.model.n_sliding_window == 0,
            n_threads=self.threads,
            n_threads_batch=self.threads,
            flash_attn_type=FLASH_ATTENTION[settings.flash_attention],
            type_k=GGML_TYPES[settings.kv_type],
            type_v=GGML_TYPES[settings.kv_type],
            swa_full=settings.swa_full,
        )
        library().forget_errors()
        handle = self._api.llama_init_from_model(self.model.handle, parameters)
        if handle is None:
            raise LoadError(
                f"no context of {ctx_size * n_lanes} tokens for {self.model.path}: "
                f"{library().reason('llama.cpp gave no reason')}",
                "try a smaller --ctx-size",
            )
        return handle

    def use_threads(self, threads: int) -> None:
        """Evaluate with so many threads from now on, single tokens and batches alike."""
        if threads != self.threads:
            self._api.llama_set_n_threads(self.handle, threads, threads)
            self.threads = threads

    def predict(
        self, lanes: Sequence[Lane], should_stop: Callable[[], bool] = lambda: False
    ) -> list[NDArray[np.float32]]:
        """Read what the lanes have not read yet, all in shared batches.

        Args:
            lanes: Different lanes of this context, each with at least one token.
            should_stop: Polled during long evaluations.

        Returns:
            Per lane the logits after its last token, shape (n_vocab,): views that the next call overwrites.

        Raises:
            ContextFullError: A lane has more tokens than its context.
            StoppedError: `should_stop` became true.
        """
        results: dict[Lane, NDArray[np.float32]] = {}
        waiting = list(lanes)
        while waiting:
            ready = self.advance(waiting, should_stop)
            waiting = [lane for lane in waiting if lane not in ready]
            results |= {lane: logits.copy() for lane, logits in ready.items()} if waiting else ready
        return [results[lane] for lane in lanes]

    def advance(
        self, lanes: Sequence[Lane], should_stop: Callable[[], bool] = lambda: False
    ) -> dict[Lane, NDArray[np.float32]]:
        """Evaluate one batch of what the lanes have not read yet.

        Answers come before prompts, of which each gets at most a portion into the batch.

        Returns:
            As `predict`, for the lanes that have read everything now; the others need further calls.
        """
        for lane in lanes:
            self.require_room(lane)
            self.rewind(lane, len(lane.ids) - 1)  # without evaluating a token there are no logits
            self._borrow(lane)
            self._mark(lane)
        shares = self._share_batch(sorted(lanes, key=lambda lane: lane.in_prompt))
        self._decode(shares, should_stop)
        return {share.lane: self._logits(share.last_row) for share in shares if share.complete}

    def _require_open(self) -> None:
        if self.handle is None:
            raise PairError(f"the context of {self.model.path} is closed", "open the model again")

    def require_room(self, lane: Lane) -> None:
        """Raise `ContextFullError` where a lane has more tokens than its context."""
        if len(lane.ids) > self.ctx_size:
            raise ContextFullError(n_prompt=len(lane.ids), n_ctx=self.ctx_size)

    def _borrow(self, lane: Lane) -> None:
        """Take over the beginning of a lane's prompt from another lane that has read it."""
        if not (lane.in_prompt and self.rewinder.can_copy and len(self.lanes) > 1):
            return
        prompt = lane.ids[: lane.n_prompt]
        lender = max(self.lanes, key=lambda other: other.shared_prompt(prompt))
        n_shared = lender.shared_prompt(prompt)
        if n_shared - lane.n_valid >= WORTH_LENDING:
            self.rewinder.copy(lender.sequence, lane.sequence, n_shared)
            lane.shrink_to(n_shared)

    def _share_batch(self, lanes: Sequence[Lane]) -> list[Share]:
        """Fill the batch with what the lanes read next.

        A portion is not parted, unless it is larger than a whole batch; one that another lane reads in this
        batch is waited for. The first lanes come first, but lie in the batch by their numbers: only so can
        llama.cpp evaluate lanes that have a buffer each at once.
        """
        chosen: list[tuple[Lane, list[int]]] = []
        room = self._batch.capacity
        for lane in lanes:
            may_borrow = lane.in_prompt and self.rewinder.can_copy
            if may_borrow and any(other.will_read(lane) for other, _ in chosen):
                continue
            tokens = lane.ids[lane.n_valid : self._stop_at(lane)]
            if chosen and len(tokens) > room:
                continue
            chosen.append((lane, tokens[:room]))
            room = max(0, room - len(tokens))
        self._batch.clear()
        return [self._add(lane, tokens) for lane, tokens in sorted(chosen, key=lambda c: c[0].sequence)]

    def _add(self, lane: Lane, tokens: list[int]) -> Share:
        complete = lane.n_valid + len(tokens) == len(lane.ids)
        row = self._batch.add(lane.sequence, lane.n_valid, tokens, logits_at_end=complete)
        return Share(lane, len(tokens), row, complete)

    def _stop_at(self, lane: Lane) -> int:
        """Where a lane's next evaluation should end: at its portion's end, or where a mark is wanted."""
        last = len(lane.ids) - 1
        if lane.n_valid < last < lane.portion_end and self.rewinder.wants_mark(lane.sequence, last):
            return last
        return lane.portion_end

    def read_on(
        self, lane: Lane, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[NDArray[np.float32]]:
        """The logits after each of the next few tokens of a lane; views and errors as in `predict`."""
        self._require_open()
        self.require_room(lane)
        self._mark(lane)
        tokens = lane.ids[lane.n_valid : lane.n_valid + READ_AT_ONCE]
        complete = lane.n_valid + len(tokens) == len(lane.ids)
        self._batch.clear()
        self._batch.add(lane.sequence, lane.n_valid, tokens, logits_at_end=True, logits_everywhere=True)
        self._decode([Share(lane, len(tokens), len(tokens) - 1, complete)], should_stop)
        return (self._logits(row) for row in range(len(tokens)))

    def rewind(self, lane: Lane, keep: int) -> None:
        """Have a lane keep at most its first `keep` valid tokens; fewer, where its memory cannot go there."""
        self._require_open()
        keep = min(lane.n_valid, keep)
        if keep < lane.n_cached:
            lane.shrink_to(self.rewinder.rewind(lane.sequence, keep, lane.n_cached))

    def _decode(self, shares: Sequence[Share], should_stop: Callable[[], bool]) -> None:
        n_tokens = self._batch.n_tokens
        self._abort.answer = should_stop
        if self._pace is not None:
            self.use_threads(self._pace.choose())
        self._watch(n_tokens > 8 or self._last_decode_s > SLOW_DECODE_S)
        library().forget_errors()
        started = perf_counter()
        code = self._api.llama_decode(self.handle, self._batch.struct)
        self._api.llama_synchronize(self.handle)
        self._last_decode_s = perf_counter() - started
        self.tally.decode_s += self._last_decode_s
        if code != 0:
            self._give_back(shares)
            self._abort.raise_again()
            raise self._failure(code)
        self.tally.tokens += n_tokens
        for share in shares:
            lane = share.lane
            lane.tally.tokens += share.n_tokens
            lane.tally.decode_s += self._last_decode_s * share.n_tokens / n_tokens
            lane.tally.evaluations[self.threads] += 1
            lane.shrink_to(lane.n_valid + share.n_tokens)
        self._abort.raise_again()

    def _mark(self, lane: Lane) -> None:
        """Keep a checkpoint before a lane's last token, where its memory wants one."""
        if lane.n_valid == len(lane.ids) - 1 and self.rewinder.wants_mark(lane.sequence, lane.n_valid):
            self.rewinder.mark(lane.sequence, lane.n_valid)

    def _watch(self, wanted: bool) -> None:
        """Have llama.cpp poll `should_stop` or not; the callback costs 2 % of a fast token."""
        if wanted != self._watched:
            self._api.llama_set_abort_callback(self.handle, self._callbacks[wanted], None)
            self._watched = wanted

    def _give_back(self, shares: Sequence[Share]) -> None:
        """Remove what a failed decode may have left behind."""
        for share in shares:
            lane = share.lane
            lane.shrink_to(self.rewinder.rewind(lane.sequence, lane.n_valid, lane.n_valid + share.n_tokens))

    def _failure(self, code: int) -> Exception:
        if code == 2:
            return StoppedError()
        if code == 1:
            return ContextFullError(n_prompt=self._batch.n_tokens, n_ctx=self.ctx_size)
        reason = library().reason("no reason given")
        return PairError(f"llama.cpp could not evaluate {self.model.path} (code {code}): {reason}")

    def _logits(self, row: int) -> NDArray[np.float32]:
        first = self._api.llama_get_logits_ith(self.handle, row)
        assert first, "logits are asked for only where the batch wanted them"
        floats: Any = self._row.from_address(ctypes.addressof(first.contents))
        logits: NDArray[np.float32] = np.frombuffer(floats, dtype=np.float32)
        return logits

    def close(self) -> None:
        """Free the KV cache; calling it twice is harmless."""
        if self.handle is not None:
            self._batch.close()
            self._api.llama_free(self.handle)
            self.handle = None
