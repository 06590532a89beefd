"""Rewinding a sequence, for every kind of memory.

Here: `Rewinder` and its three kinds. Each answers the same question: asked to keep the first n tokens,
how many are really left?
Not here: which tokens must go (`engine.sequence`).
Source: llama.cpp; for windows and recurrent states the return value of `llama_memory_seq_rm` is not enough.
"""

from __future__ import annotations

import ctypes
from typing import Any, Protocol

from blendin_local.engine.library import library
from blendin_local.engine.model import MemoryKind, Model

CHECKPOINT_EVERY = 32  # tokens between two checkpoints of one answer
PARTIAL_ONLY = 1  # LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY: of a hybrid model, only the recurrent part


class Rewinder(Protocol):
    """Keeps the beginning of a sequence and drops the rest."""

    notice: str

    def rewind(self, seq_id: int, keep: int, cached: int) -> int:
        """Drop all but the first tokens of a sequence.

        Args:
            seq_id: Which one.
            keep: How many tokens to keep.
            cached: How many it holds now.

        Returns:
            How many are left: `keep`, or fewer where the memory cannot go back to that place.
        """
        ...

    @property
    def can_copy(self) -> bool:
        """Whether the beginning of one sequence can be given to another."""
        ...

    @property
    def drops_any_tail(self) -> bool:
        """Whether `rewind` always keeps what it is asked to keep."""
        ...

    def copy(self, source: int, target: int, n: int) -> None:
        """Have `target` hold the first n tokens of `source` and nothing else."""
        ...

    def copy_whole(self, source: int, target: int) -> None:
        """Have `target` hold all that `source` holds, checkpoints too, and nothing else; every kind can."""
        ...

    def wants_checkpoint(self, seq_id: int, n: int) -> bool:
        """Whether a checkpoint should be saved when the sequence holds exactly n tokens."""
        ...

    def checkpoint(self, seq_id: int, n: int) -> None:
        """Save the state of a sequence that holds exactly n tokens now."""
        ...


class TailRewinder:
    """Plain attention, and sliding windows with a cache of every position: any suffix can be removed."""

    notice = ""
    can_copy = True
    drops_any_tail = True

    def __init__(self, memory: Any) -> None:
        self._api = library().api
        self._memory = memory

    def copy(self, source: int, target: int, n: int) -> None:
        """Copy all and drop the tail: sequences with buffers of their own cannot be copied in part."""
        self.copy_whole(source, target)
        self._api.llama_memory_seq_rm(self._memory, target, n, -1)

    def copy_whole(self, source: int, target: int) -> None:
        """In a shared buffer cells only get another number; other buffers are copied."""
        self._api.llama_memory_seq_rm(self._memory, target, -1, -1)
        self._api.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def rewind(self, seq_id: int, keep: int, cached: int) -> int:
        """Drop the tail."""
        if keep < cached:
            self._api.llama_memory_seq_rm(self._memory, seq_id, keep, -1)
        return keep

    def wants_checkpoint(self, seq_id: int, n: int) -> bool:
        """Never."""
        del seq_id, n
        return False

    def checkpoint(self, seq_id: int, n: int) -> None:
        """Nothing to do."""


class WindowRewinder(TailRewinder):
    """Sliding windows with a small cache: a tail comes off only while the window before it is still there."""

    notice = "its sliding-window cache is small: going far back reads the prompt again, and it has no drafts"
    can_copy = False  # the beginning may be gone from the window
    drops_any_tail = False

    def __init__(self, memory: Any, window: int) -> None:
        super().__init__(memory)
        self._window = window

    def rewind(self, seq_id: int, keep: int, cached: int) -> int:
        """Drop the tail, or everything where tokens of the window are gone."""
        if keep >= cached:
            return keep
        oldest = self._api.llama_memory_seq_pos_min(self._memory, seq_id)
        if oldest > 0 and oldest > keep - self._window:
            keep = 0
        return super().rewind(seq_id, keep, cached)


class CheckpointRewinder:
    """Recurrent and hybrid models: the state exists only for the last token, so copies of it are kept."""

    notice = (
        "it cannot rewind: checkpoints of its state are used, text after them is read again, and there are "
        "no drafts"
    )
    can_copy = False  # there is no state of the beginning to copy
    drops_any_tail = False

    def __init__(self, context: Any, memory: Any) -> None:
        self._api = library().api
        self._context = context
        self._memory = memory
        self._checkpoints: dict[int, dict[int, ctypes.Array[ctypes.c_uint8]]] = {}

    def copy(self, source: int, target: int, n: int) -> None:
        """Never asked for."""
        raise NotImplementedError

    def copy_whole(self, source: int, target: int) -> None:
        """The state after the last token, and the checkpoints, which are never changed."""
        self._api.llama_memory_seq_rm(self._memory, target, -1, -1)
        self._api.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        self._checkpoints[target] = dict(self._checkpoints.get(source, {}))

    def rewind(self, seq_id: int, keep: int, cached: int) -> int:
        """Restore the last checkpoint at or before `keep`, or clear the sequence."""
        if keep >= cached:
            return keep
        kept = self._checkpoints.setdefault(seq_id, {})
        for n in [n for n in kept if n > keep]:
            del kept[n]
        if not kept:
            self._api.llama_memory_seq_rm(self._memory, seq_id, -1, -1)
            return 0
        n = max(kept)
        state = kept[n]
        restored = self._api.llama_state_seq_set_data_ext(
            self._context, state, len(state), seq_id, PARTIAL_ONLY
        )
        if not restored or not self._api.llama_memory_seq_rm(self._memory, seq_id, n, -1):
            kept.clear()
            self._api.llama_memory_seq_rm(self._memory, seq_id, -1, -1)
            return 0
        return n

    def wants_checkpoint(self, seq_id: int, n: int) -> bool:
        """Every few tokens."""
        return n >= max(self._checkpoints.get(seq_id, ()), default=0) + CHECKPOINT_EVERY

    def checkpoint(self, seq_id: int, n: int) -> None:
        """Copy the state."""
        size = self._api.llama_state_seq_get_size_ext(self._context, seq_id, PARTIAL_ONLY)
        state = (ctypes.c_uint8 * size)()
        if self._api.llama_state_seq_get_data_ext(self._context, state, size, seq_id, PARTIAL_ONLY) == size:
            kept = self._checkpoints.setdefault(seq_id, {})
            kept[n] = state
            while len(kept) > 3:  # the first (the prompt) and the last two
                del kept[sorted(kept)[1]]


def rewinder_for(model: Model, context: Any, memory: Any, *, full_windows: bool) -> Rewinder:
    """The rewinder that is right for a model's memory."""
    kind = model.memory_kind
    if kind in {MemoryKind.RECURRENT, MemoryKind.HYBRID}:
        return CheckpointRewinder(context, memory)
    if kind is MemoryKind.SLIDING and not full_windows:
        return WindowRewinder(memory, model.n_sliding_window)
    return TailRewinder(memory)
