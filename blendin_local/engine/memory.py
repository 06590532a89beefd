"""How much memory a model will take, estimated before it is loaded.

Here: `estimate`, and `require_memory`, whose error lists every number.
Not here: the header the numbers come from (`engine.gguf.header`), what is available (`engine.machine`).
Source: the buffers that llama.cpp reports when it creates a context (`src/llama-context.cpp`), with which the
tests compare. Layers on a GPU are not counted separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blendin_local.engine.gguf.header import Header
from blendin_local.errors import LoadError
from blendin_local.settings import KvType

CTX_STEP = 256  # llama.cpp pads the context to a multiple of it
CHECKPOINTS = 3  # of a recurrent state, kept for each conversation (`engine.rewind`)
FLOAT = 4
HALF = 2
MIB = 2**20


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes that one model takes.

    Attributes:
        weights: The weights (mapped from the file, or read), and the copies that llama.cpp repacks.
        kv_cache: Keys and values of the whole context, recurrent states and their checkpoints.
        compute: Intermediate results and logits.
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
    swa_full: bool = True,
    mmap: bool = True,
) -> MemoryEstimate:
    """The memory of one model with one context.

    Args:
        header: The model.
        ctx_size: Tokens of context over all sequences.
        kv_type: Number format of the KV cache.
        n_outputs: Maximum number of tokens per call whose logits are needed.
        n_ubatch: Tokens evaluated at once.
        n_sequences: Conversations sharing the context.
        flash_attention: Without it the scores of every head are written out.
        swa_full: Whether layers with a sliding window keep every position.
        mmap: Whether the file is mapped, so that repacked weights are there twice.
    """
    batch = min(n_ubatch, ctx_size)
    streams = n_sequences if header.windowed else 1  # a buffer of cells for each, or one for all
    whole = _padded(-(-ctx_size // streams))
    cells = {False: whole, True: whole if swa_full else min(whole, _padded(header.sliding_window + batch))}
    kept = {kind: header.kv_bytes_per_token(kv_type, windowed=kind) for kind in cells}
    kv_cache = streams * sum(cells[kind] * kept[kind] for kind in cells)
    states = n_sequences * header.state_bytes * (1 + CHECKPOINTS)
    read = max((cells[kind] for kind in cells if kept[kind]), default=0)  # by the layer that reads most
    masks = batch * sum(cells[kind] for kind in cells if kept[kind]) * (HALF if flash_attention else FLOAT)
    one_layer = max(header.kv_heads, default=0) * (header.key_length + header.value_length)
    if not flash_attention:
        attention = FLOAT * header.n_heads * read * batch
    elif kv_type == "f32":
        attention = HALF * streams * read * one_layer  # a copy in the format that the kernel reads
    else:
        attention = 0
    logits = FLOAT * header.vocab_size
    results = FLOAT * batch * _width(header) + attention
    compute = masks + max(results, n_outputs * logits + FLOAT * batch * header.n_embd) + n_sequences * logits
    weights = header.weight_bytes + (header.repacked_bytes if mmap else 0)
    return MemoryEstimate(weights, kv_cache + states, compute)


def _padded(cells: int) -> int:
    return -(-cells // CTX_STEP) * CTX_STEP


def _width(header: Header) -> int:
    """Numbers that a layer holds for each token while it is computed."""
    return 16 * header.n_embd if header.memory == "recurrent" else 3 * header.n_ff + 4 * header.n_embd


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
