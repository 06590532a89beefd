"""How much memory a model will take, known before it is loaded.

Here: `estimate`, `available_memory`, and the refusal that names every number.
Not here: the header the numbers come from (`engine.header`), cores (`engine.machine`).
Source: the buffers that llama.cpp reports when it creates a context (`src/llama-context.cpp`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from blendin_local.engine.cgroups import CGROUP, MEMBERSHIP, groups
from blendin_local.engine.header import Header
from blendin_local.errors import LoadError
from blendin_local.settings import KvType

CTX_STEP = 256  # llama.cpp pads the context to a multiple of it
FLOAT = 4
HALF = 2
MIB = 2**20
UNKNOWN_MEMORY = 2**60


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes that one model takes.

    Attributes:
        weights: The weights (mapped from the file, or read).
        kv_cache: Keys and values of the whole context, and recurrent state.
        compute: Intermediate results and the logits of one call.
    """

    weights: int
    kv_cache: int
    compute: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv_cache + self.compute


def estimate(
    header: Header,
    ctx_size: int,
    kv_type: KvType = "f16",
    *,
    n_outputs: int = 1,
    n_ubatch: int = 512,
    n_sequences: int = 1,
    flash_attention: bool = True,
) -> MemoryEstimate:
    """The memory of one model with one context.

    Args:
        header: The model.
        ctx_size: Tokens of context over all sequences.
        kv_type: Number format of the KV cache.
        n_outputs: Most tokens of one call whose logits are wanted.
        n_ubatch: Tokens evaluated at once.
        n_sequences: Conversations sharing the context.
        flash_attention: Without it the scores of every head are written out.
    """
    cells = -(-ctx_size // CTX_STEP) * CTX_STEP
    kv_cache = cells * header.kv_bytes_per_token(kv_type) + n_sequences * header.state_bytes
    width = 2 * header.n_ff + 4 * header.n_embd
    logits = n_outputs * header.vocab_size
    scores = 0 if flash_attention else header.n_heads * cells * n_ubatch
    masks = 2 if header.sliding_window else 1  # one for whole and one for windowed layers
    mask = masks * cells * n_ubatch * (HALF if flash_attention else FLOAT)
    compute = FLOAT * (n_ubatch * width + logits + scores) + mask
    return MemoryEstimate(header.weight_bytes, kv_cache, compute)


def available_memory(
    *, system: Callable[[], int] | None = None, cgroup: Path = CGROUP, membership: Path = MEMBERSHIP
) -> int:
    """Bytes this process may still use: what the system has free, within the limits of its containers.

    Args:
        system: Reads the free memory of the machine.
        cgroup: Where the control groups are mounted.
        membership: The file that names this process's groups.
    """
    free = system() if system else _of_system("available", "SC_AVPHYS_PAGES")
    for group in groups("memory", cgroup, membership):
        room = _room(group, "memory.max", "memory.current")
        if room is None:
            room = _room(group, "memory.limit_in_bytes", "memory.usage_in_bytes")
        if room is not None:
            free = min(free, room)
    return free


def total_memory() -> int:
    """Bytes of memory the machine has."""
    return _of_system("total", "SC_PHYS_PAGES")


def require_memory(needs: Sequence[tuple[str, MemoryEstimate]], available: int) -> None:
    """Raise `LoadError` where the models together need more than there is.

    Args:
        needs: What each model is called in the message, and what it takes.
        available: Bytes that may be used.
    """
    total = sum(need.total for _, need in needs)
    if total <= available:
        return
    parts = "; ".join(
        f"{label} {mebibytes(need.total)} ({mebibytes(need.weights)} weights, "
        f"{mebibytes(need.kv_cache)} KV cache, {mebibytes(need.compute)} compute)"
        for label, need in needs
    )
    raise LoadError(
        f"not enough memory: {mebibytes(total)} needed, {mebibytes(available)} available: {parts}",
        "use a smaller --ctx-size, --kv-type q8_0, a smaller quantization or a smaller model",
    )


def mebibytes(size: int) -> str:
    """A size for a sentence, such as `241 MiB`; rounded up, so that nothing needed reads as 0."""
    return f"{-(-size // MIB):,} MiB"


def _of_system(name: str, pages: str) -> int:
    """A figure of the machine's memory; where nothing tells it, nothing can be refused for lack of memory."""
    try:
        return int(getattr(psutil.virtual_memory(), name))
    except (OSError, RuntimeError, psutil.Error):  # Linux without /proc
        pass
    try:
        return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return UNKNOWN_MEMORY


def _room(group: Path, limit_name: str, usage_name: str) -> int | None:
    """What a control group has left; its page cache can be given back and does not count as used."""
    limit, usage = _number(group / limit_name), _number(group / usage_name)
    if limit is None or usage is None:
        return None
    reclaimable = _reclaimable(group / "memory.stat")
    return max(0, limit - max(0, usage - reclaimable))


def _reclaimable(stat: Path) -> int:
    try:
        pairs = dict(line.split()[:2] for line in stat.read_text().splitlines() if " " in line)
    except (OSError, ValueError):
        return 0
    return int(pairs.get("total_inactive_file", pairs.get("inactive_file", 0)))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # absent, or the word "max"
        return None
