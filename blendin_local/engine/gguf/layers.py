"""The memory that the layers of a model need, judged by the keys of its header.

Here: `Keys`, typed look-ups with defaults; heads, windows, recurrent state; which weights belong to which
layer (`WeightPlaces`), and which are repacked.
Not here: the record of it all (`engine.gguf.header`), what it takes in bytes (`engine.memory`).
Source: llama.cpp: `src/models/*.cpp` for the patterns of windows, `ggml-cpu/repack.cpp` for repacking.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from blendin_local.engine.gguf.reader import GgufFile, Tensor

MemoryGuess = Literal["plain", "sliding", "recurrent", "hybrid", "none"]

ENCODERS = frozenset({"t5encoder", "clip", "gemma-embedding", "wavtokenizer-dec", "eurobert", "neo-bert"})
RECURRENT_KEYS = ("ssm.conv_kernel", "ssm.state_size", "wkv.head_size", "shortconv.l_cache", "kda.head_dim")
# One in this many layers has no window, if the file has no pattern. Other architectures: none has a window.
WINDOW_PATTERNS = {
    "gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4, "gpt-oss": 2, "olmo2": 4, "exaone4": 4,
}  # fmt: skip
_Q4_0, _Q8_0, _Q2_K, _Q4_K, _Q5_K, _Q6_K, _IQ4_NL, _MXFP4 = 2, 8, 10, 12, 13, 14, 20, 39
REPACKED_X86 = frozenset({_Q4_0, _Q2_K, _Q4_K, _IQ4_NL, _MXFP4})  # with AVX2 and AVX-512
REPACKED_ARM = frozenset({_Q4_0, _Q8_0, _Q4_K, _Q5_K, _Q6_K, _IQ4_NL, _MXFP4})
REPACKED_ROWS = 8  # only matrices with a multiple of this many rows are repacked
_LAYER = re.compile(r"blk\.(\d{1,9})\.")


@dataclass(frozen=True, slots=True)
class WeightPlaces:
    """Bytes of weights by what llama.cpp puts on one device together.

    Attributes:
        layers: Of each layer.
        output: Of what follows the last layer, without a table of embeddings that serves for it too.
        embedding: Of the table of embeddings.
        other: Of what else is read before the first layer.
        tied: Whether the table of embeddings serves for the output too; on two devices it is there twice.
    """

    layers: tuple[int, ...] = ()
    output: int = 0
    embedding: int = 0
    other: int = 0
    tied: bool = True

    def __add__(self, more: WeightPlaces) -> WeightPlaces:
        return WeightPlaces(
            tuple(a + b for a, b in zip_longest(self.layers, more.layers, fillvalue=0)),
            self.output + more.output,
            self.embedding + more.embedding,
            self.other + more.other,
            self.tied and more.tied,
        )

    def of(self, layers: range, *, has_input: bool, has_output: bool) -> int:
        """Bytes of some layers, with or without what comes before the first and after the last."""
        embeddings = (has_input or (has_output and self.tied)) * self.embedding
        inner = sum(self.layers[layers.start : layers.stop])
        return inner + embeddings + has_input * self.other + has_output * self.output


NO_WEIGHTS = WeightPlaces()


class Keys:
    """Look-ups that fall back on a default where a key is absent or of another kind."""

    def __init__(self, file: GgufFile) -> None:
        self.file = file
        self.architecture = self.text("general.architecture") or "unknown"

    def text(self, key: str) -> str:
        """The text under a key; empty if there is none."""
        value = self.file.value(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str, default: int = 0) -> int:
        """The number under a key."""
        value = self.file.value(key)
        return int(value) if isinstance(value, (int, float)) else default

    def arch_number(self, key: str, default: int = 0) -> int:
        """A number under the architecture's prefix; of a per-layer array the largest."""
        values = self.file.numbers(f"{self.architecture}.{key}")
        return max(values) if values else default

    def per_layer(self, key: str, n_layers: int, default: int) -> tuple[int, ...]:
        """A number for each layer; a single number in the file applies to all layers."""
        values = self.file.numbers(f"{self.architecture}.{key}") or (default,)
        return values[:n_layers] if len(values) > 1 else values * n_layers


def _recurrent(keys: Keys) -> bool:
    return any(keys.arch_number(key) for key in RECURRENT_KEYS)


def layer_kv_heads(keys: Keys, n_layers: int, n_heads: int) -> tuple[int, ...]:
    """Key-value heads of each layer; the layers between full attention ones keep a recurrent state."""
    heads = keys.per_layer("attention.head_count_kv", n_layers, n_heads)
    interval = keys.arch_number("full_attention_interval")
    if interval > 1 and _recurrent(keys):
        return tuple(n if (i + 1) % interval == 0 else 0 for i, n in enumerate(heads))
    return heads


def layer_state_bytes(keys: Keys, n_layers: int, kv_heads: tuple[int, ...]) -> int:
    """Bytes of recurrent state in float32, by the shapes of Mamba; other kinds keep states of that order."""
    inner, state = keys.arch_number("ssm.inner_size"), keys.arch_number("ssm.state_size")
    convolution = max(0, keys.arch_number("ssm.conv_kernel") - 1) * (
        inner + 2 * keys.arch_number("ssm.group_count") * state
    )
    short = max(0, keys.arch_number("shortconv.l_cache") - 1) * keys.arch_number("embedding_length")
    head = keys.arch_number("wkv.head_size") * keys.arch_number("embedding_length")
    layers = sum(1 for n in kv_heads if n == 0) or n_layers
    return 4 * layers * (convolution + inner * state + short + head)


def memory_kind(keys: Keys, kv_heads: tuple[int, ...]) -> MemoryGuess:
    """How a model remembers text."""
    encoder = "bert" in keys.architecture or keys.architecture in ENCODERS
    if encoder or keys.file.value(f"{keys.architecture}.attention.causal") is False:
        return "none"
    if _recurrent(keys):
        return "hybrid" if any(kv_heads) else "recurrent"
    return "sliding" if keys.arch_number("attention.sliding_window") else "plain"


def windowed_layers(keys: Keys, n_layers: int) -> tuple[bool, ...]:
    """Whether each layer has a sliding window; empty if none has."""
    name = f"{keys.architecture}.attention.sliding_window_pattern"
    pattern = keys.file.numbers(name) or ()
    if not keys.arch_number("attention.sliding_window"):
        return ()
    if len(pattern) > 1:
        return tuple(bool(n) for n in pattern[:n_layers])
    period = pattern[0] if pattern else WINDOW_PATTERNS.get(keys.architecture, 0)
    return tuple((i + 1) % period != 0 for i in range(n_layers)) if period > 1 else ()


def weight_places(tensors: Sequence[Tensor], n_layers: int) -> WeightPlaces:
    """Which tensors of a file belong to which layer, by their names."""
    layers = [0] * n_layers
    output = embedding = other = 0
    for tensor in tensors:
        match = _LAYER.match(tensor.name)
        if match and int(match[1]) < n_layers:
            layers[int(match[1])] += tensor.size
        elif tensor.name.startswith("output"):
            output += tensor.size
        elif tensor.name == "token_embd.weight":
            embedding += tensor.size
        else:
            other += tensor.size
    tied = not any(tensor.name == "output.weight" for tensor in tensors)
    return WeightPlaces(tuple(layers), output, embedding, other, tied)


def repacked_bytes(tensors: Sequence[Tensor], machine: str = platform.machine()) -> int:
    """Bytes of matrices that llama.cpp copies into a layout for this kind of processor.

    The table of embeddings is only looked up, unless it has to serve for the output too.

    Args:
        tensors: Those of a file.
        machine: The processor, as Python names it.
    """
    kinds = REPACKED_ARM if machine.lower() in {"arm64", "aarch64"} else REPACKED_X86
    names = {tensor.name for tensor in tensors}
    looked_up = {"token_embd.weight"} if "output.weight" in names else set()
    return sum(
        tensor.size
        for tensor in tensors
        if tensor.kind in kinds
        and len(tensor.shape) > 1
        and tensor.shape[1] % REPACKED_ROWS == 0
        and tensor.name not in looked_up
    )
