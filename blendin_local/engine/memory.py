"""How much memory a model will take, estimated before it is loaded.

Here: `estimate`; `places`, the memory there is; `require_memory`, whose error lists every number.
Not here: the header the numbers come from (`engine.gguf.header`), which layers lie where
(`engine.placement`), what would fit instead (`decode.memory_plan`).
Source: the buffers that llama.cpp reports when it creates a context (`src/llama-context.cpp`), with which the
tests compare. Where layers lie on a GPU, each part of the model is estimated by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from blendin_local.engine.devices import devices, offload_devices
from blendin_local.engine.gguf.header import Header
from blendin_local.engine.machine import available_memory
from blendin_local.engine.placement import Part
from blendin_local.errors import LoadError
from blendin_local.settings import KvType

CTX_STEP = 256  # llama.cpp pads the context to a multiple of it
CHECKPOINTS = 3  # of a recurrent state, kept for each conversation (`engine.rewind`)
FLOAT = 4
HALF = 2
MIB = 2**20
RAM = "RAM"


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

    def __add__(self, more: MemoryEstimate) -> MemoryEstimate:
        return MemoryEstimate(
            self.weights + more.weights, self.kv_cache + more.kv_cache, self.compute + more.compute
        )


def estimate(
    header: Header,
    ctx_size: int,
    kv_type: KvType = "f16",
    *,
    part: Part | None = None,
    n_outputs: int = 1,
    n_ubatch: int = 512,
    n_sequences: int = 1,
    flash_attention: bool = True,
    swa_full: bool = True,
    mmap: bool = True,
) -> MemoryEstimate:
    """The memory of one model with one context, or of the part of it that lies in one place.

    Args:
        header: The model.
        ctx_size: Tokens of context over all sequences.
        kv_type: Number format of the KV cache.
        part: What of the model is meant, where a part of it is on a GPU; None for all of it.
        n_outputs: Maximum number of tokens per call whose logits are needed.
        n_ubatch: Tokens evaluated at once.
        n_sequences: Conversations sharing the context.
        flash_attention: Without it the scores of every head are written out.
        swa_full: Whether layers with a sliding window keep every position.
        mmap: Whether the file is mapped, so that repacked weights are there twice.
    """
    here = part or Part(range(header.n_layers), has_input=True, has_output=True)
    if here.is_empty:
        return MemoryEstimate(0, 0, 0)
    batch = min(n_ubatch, ctx_size)
    streams = n_sequences if header.windowed else 1  # a buffer of cells for each, or one for all
    whole = _padded(-(-ctx_size // streams))
    cells = {False: whole, True: whole if swa_full else min(whole, _padded(header.sliding_window + batch))}
    kept = {kind: header.kv_bytes_per_token(kv_type, windowed=kind, layers=here.layers) for kind in cells}
    kv_cache = streams * sum(cells[kind] * kept[kind] for kind in cells)
    kv_cache += n_sequences * header.state_bytes_of(here.layers)
    if here.has_input:  # checkpoints are copies in RAM
        kv_cache += n_sequences * header.state_bytes * CHECKPOINTS
    compute = _compute(
        header,
        here,
        kv_type=kv_type,
        cells=cells,
        streams=streams,
        batch=batch,
        n_outputs=n_outputs,
        flash_attention=flash_attention,
    )
    if here.has_input:  # where Python reads the logits
        compute += n_sequences * FLOAT * header.vocab_size
    return MemoryEstimate(_weights(header, part, mmap=mmap), kv_cache, compute)


def _compute(
    header: Header,
    part: Part,
    *,
    kv_type: KvType,
    cells: Mapping[bool, int],
    streams: int,
    batch: int,
    n_outputs: int,
    flash_attention: bool,
) -> int:
    """Bytes of masks and intermediate results: of a layer or of the output, whichever has more."""
    used = [n for kind, n in cells.items() if header.kv_bytes_per_token(windowed=kind)]
    masks = batch * (HALF if flash_attention else FLOAT) * sum(used)
    read = max(used, default=0)  # by the layer that reads most
    one_layer = max(header.kv_heads, default=0) * (header.key_length + header.value_length)
    if not flash_attention:
        attention = FLOAT * header.n_heads * read * batch
    elif kv_type == "f32":
        attention = HALF * streams * read * one_layer  # a copy in the format that the kernel reads
    else:
        attention = 0
    embeddings = FLOAT * batch * header.n_embd
    layers = FLOAT * batch * _width(header) + attention if part.layers or part.lent else 0
    output = n_outputs * FLOAT * header.vocab_size + embeddings if part.has_output else 0
    results = max(layers, output, streams * _lent_cache(header, part, kv_type, cells))
    if part.layers or part.lent:
        inputs = masks + (0 if part.has_input else embeddings)
    else:  # the output alone needs no masks; RAM passes them on, with the embeddings
        inputs = masks + 2 * embeddings if part.has_input else 0
    return (
        part.copies * inputs
        + results
        + max(header.weights.layers[part.lent.start : part.lent.stop], default=0)
    )


def _lent_cache(header: Header, part: Part, kv_type: KvType, cells: Mapping[bool, int]) -> int:
    """Bytes of KV cache of the largest layer that is lent to a device: a copy of it goes along."""
    of_layers = (
        n * header.kv_bytes_per_token(kv_type, windowed=kind, layers=range(i, i + 1))
        for i in part.lent
        for kind, n in cells.items()
    )
    return max(of_layers, default=0)


def _weights(header: Header, part: Part | None, *, mmap: bool) -> int:
    """Bytes of weights; where a GPU is used, llama.cpp repacks nothing."""
    if part is None:
        return header.weight_bytes + (header.repacked_bytes if mmap else 0)
    return header.weights.of(part.layers, has_input=part.has_input, has_output=part.has_output)


def _padded(cells: int) -> int:
    return -(-cells // CTX_STEP) * CTX_STEP


def _width(header: Header) -> int:
    """Numbers that a layer holds for each token while it is computed."""
    return 16 * header.n_embd if header.memory == "recurrent" else 3 * header.n_ff + 4 * header.n_embd


@dataclass(frozen=True, slots=True)
class Place:
    """Memory that models are put into.

    Attributes:
        name: What it is called in a message: `RAM`, or the name of a device.
        free: Bytes that may be used.
        shares_ram: Whether it is a device that computes in the machine's memory.
    """

    name: str
    free: int
    shares_ram: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """What one model takes.

    Attributes:
        label: What the model is called in a message.
        parts: Its memory in RAM, then on each device.
    """

    label: str
    parts: tuple[MemoryEstimate, ...]


def places() -> tuple[Place, ...]:
    """The machine's memory, then that of each device that layers go to, as it is now."""
    ram = available_memory()
    found = [
        Place(each.name, each.memory_free if each.memory_total else ram, each.shares_ram)
        for each in offload_devices(devices())
    ]
    return (Place(RAM, ram), *found)


def counted_in(index: int, where: Sequence[Place]) -> list[int]:
    """Which parts of a model count in a place: its own; in RAM also those of devices that share it."""
    return [i for i, place in enumerate(where) if i == index or (index == 0 and place.shares_ram)]


def taken(needs: Sequence[Need], where: Sequence[Place]) -> list[int]:
    """Bytes that models take in each place."""
    return [
        sum(need.parts[part].total for need in needs for part in counted_in(index, where))
        for index in range(len(where))
    ]


def require_memory(needs: Sequence[Need], where: Sequence[Place], hint: Callable[[], str]) -> None:
    """Raise `LoadError` where the models together need more than there is.

    Args:
        needs: What each model takes.
        where: The places of its parts: RAM, then each device.
        hint: Says what would fit; called where something does not.
    """
    for index, (place, total) in enumerate(zip(where, taken(needs, where), strict=True)):
        if total <= place.free:
            continue
        parts = "; ".join(_described(need, counted_in(index, where)) for need in needs)
        on = "" if len(where) == 1 else f" in {place.name}" if index == 0 else f" on {place.name}"
        raise LoadError(
            f"not enough memory{on}: {mebibytes(total)} needed, {mebibytes(place.free)} available: {parts}",
            hint(),
        )


def _described(need: Need, indices: Sequence[int]) -> str:
    found = sum((need.parts[i] for i in indices), MemoryEstimate(0, 0, 0))
    return (
        f"{need.label} {mebibytes(found.total)} ({mebibytes(found.weights)} weights, "
        f"{mebibytes(found.kv_cache)} KV cache, {mebibytes(found.compute)} compute)"
    )


def mebibytes(size: int) -> str:
    """A size for a sentence, such as `241 MiB`; rounded up, so that nothing needed reads as 0."""
    return f"{-(-size // MIB):,} MiB"
