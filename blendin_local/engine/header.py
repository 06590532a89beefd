"""What a model file says about itself: shape, vocabulary, memory kind, chat template.

Here: `Header`, `read_header`, and the checks that a file is a whole GGUF before llama.cpp is asked.
Not here: the bytes of the file (`engine.gguf`), which values make sense (`engine.header_bounds`), how much
memory it takes (`engine.memory`).
Source: the GGUF key names of llama.cpp (`src/llama-arch.cpp`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from blendin_local.engine.gguf import GgufFile
from blendin_local.engine.header_bounds import require_bounds
from blendin_local.errors import LoadError
from blendin_local.settings import KvType

MemoryGuess = Literal["plain", "sliding", "recurrent", "hybrid", "none"]

MAGIC = b"GGUF"
VOCABULARIES = {"gpt2": "BPE", "llama": "SPM", "bert": "WPM", "t5": "UGM", "rwkv": "RWKV", "plamo2": "PLAMO2"}
ENCODERS = frozenset({"t5encoder", "clip", "gemma-embedding", "wavtokenizer-dec", "eurobert", "neo-bert"})
RECURRENT_KEYS = ("ssm.conv_kernel", "ssm.state_size", "wkv.head_size", "shortconv.l_cache", "kda.head_dim")
# llama.h, enum llama_ftype
QUANTIZATIONS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}  # fmt: skip
BYTES_PER_BLOCK: dict[KvType, tuple[int, int]] = {
    "f32": (1, 4),
    "f16": (1, 2),
    "q8_0": (32, 34),
    "q4_0": (32, 18),
}
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about itself.

    Attributes:
        path: The file (of a split model its first part).
        architecture: llama.cpp's name of the architecture, such as `gemma3`.
        name: The model's name as its maker wrote it; may be empty.
        license: The licence as its maker wrote it; may be empty.
        parameters: Number of weights, over all parts.
        quantization: Number format of most weights.
        file_size: Bytes on disk, over all parts.
        weight_bytes: Bytes of weights, over all parts.
        n_layers: Number of layers.
        ctx_train: The context it was trained for, in tokens.
        n_embd: Length of an embedding.
        n_ff: Width of the feed-forward layer (the largest one).
        n_heads: Attention heads (of the layer that has most).
        kv_heads: Key-value heads of each layer; 0 where a layer keeps no keys and values.
        key_length: Length of one head's key.
        value_length: Length of one head's value.
        sliding_window: Tokens that windowed layers look back; 0 without such layers.
        state_bytes: Bytes of recurrent state of one sequence.
        memory: What its layers remember, as far as the keys tell; `none` for encoders.
        vocab_kind: `BPE`, `SPM`, `WPM`, ... or `none`.
        vocab_size: Number of tokens.
        chat_template: The Jinja template, or None.
        end_tokens: The tokens it declares as ends (llama.cpp may know more).
        n_parts: Files it is split into.
        unusable: Why it cannot write text; empty where it can.
        repacked_bytes: Bytes of weights that llama.cpp copies into another layout, over all parts.
    """

    path: Path
    architecture: str
    name: str
    license: str
    parameters: int
    quantization: str
    file_size: int
    weight_bytes: int
    n_layers: int
    ctx_train: int
    n_embd: int
    n_ff: int
    n_heads: int
    kv_heads: tuple[int, ...]
    key_length: int
    value_length: int
    sliding_window: int
    state_bytes: int
    memory: MemoryGuess
    vocab_kind: str
    vocab_size: int
    chat_template: str | None
    end_tokens: tuple[str, ...]
    n_parts: int
    unusable: str
    repacked_bytes: int = 0

    def kv_bytes_per_token(self, kv_type: KvType = "f16") -> int:
        """Bytes of KV cache that one token takes over all layers, every position kept."""
        block, size = BYTES_PER_BLOCK[kv_type]
        numbers = sum(self.kv_heads) * (self.key_length + self.value_length)
        return numbers * size // block


def check_whole_file(path: Path) -> None:
    """Raise `LoadError` unless `path` is a file that begins like a GGUF."""
    if not path.exists():
        raise LoadError(f"{path} does not exist", "check the path")
    if path.is_dir():
        raise LoadError(f"{path} is a directory, not a model file", "name the .gguf file inside it")
    if not path.is_file():  # a pipe or a device may never end
        raise LoadError(f"{path} is no regular file", "name a .gguf file")
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}", "check its permissions") from error
    if not head:
        raise LoadError(f"{path} is empty (0 bytes)", "fetch the file again")
    if head != MAGIC:
        hint = "convert the model to GGUF, or name another file"
        if head.startswith(b"PK"):
            hint = "it looks like a zip archive: unpack it first"
        elif head == b"vers":
            hint = "it looks like a git-lfs pointer: run git lfs pull"
        raise LoadError(f"{path} is not a GGUF file (it begins with {head!r})", hint)


def read_header(path: Path) -> Header:
    """Read what a model file says about itself, without loading weights.

    Args:
        path: A GGUF file; of a split model its first part, whose other parts must lie next to it.

    Raises:
        LoadError: It is missing, empty, a directory, not a GGUF, cut short, or a value in it cannot be.
    """
    header = _read_one(path)
    parts = split_parts(path, header.n_parts)
    if path in parts[1:]:
        raise LoadError(f"{path} is not the first part of its model", f"name {parts[0].name} instead")
    for part in parts[1:]:
        if not part.exists():
            raise LoadError(f"{part} is missing: {path.name} is one of {len(parts)} parts", "fetch all parts")
        other = _read_one(part)
        header = replace(
            header,
            parameters=header.parameters + other.parameters,
            file_size=header.file_size + other.file_size,
            weight_bytes=header.weight_bytes + other.weight_bytes,
        )
    return replace(header, unusable=_why_unusable(header))


def split_parts(path: Path, count: int) -> list[Path]:
    """The files of a model that is split into `count`, in order; `path` itself where it is not."""
    match = _SPLIT.search(path.name)
    if match is None or count <= 1:
        return [path]
    stem = path.name[: match.start()]
    return [path.with_name(f"{stem}-{i:05d}-of-{count:05d}.gguf") for i in range(1, count + 1)]


def _read_one(path: Path) -> Header:
    check_whole_file(path)
    with GgufFile(path) as file:
        require_bounds(file)
        header = _header(path, file)
        expected = file.least_size
    if header.file_size < expected:
        raise LoadError(
            f"{path} is cut short: {header.file_size:,} bytes of {expected:,}",
            "fetch the file again, or check that the copy was complete",
        )
    return header


def _why_unusable(header: Header) -> str:
    if header.memory == "none":
        return f"an embedding, encoder or projector model ({header.architecture})"
    if header.parameters == 0:
        return "a vocabulary without weights"
    if header.vocab_kind == "none":
        return "a model without a vocabulary"
    return ""


class _Keys:
    """Look-ups that fall back on a default where a key is absent or of another kind."""

    def __init__(self, file: GgufFile) -> None:
        self.file = file
        self.architecture = self.text("general.architecture") or "unknown"

    def text(self, key: str) -> str:
        value = self.file.value(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str, default: int = 0) -> int:
        value = self.file.value(key)
        return int(value) if isinstance(value, (int, float)) else default

    def own(self, key: str, default: int = 0) -> int:
        """A number under the architecture's prefix; of a per-layer array the largest."""
        values = self.file.numbers(f"{self.architecture}.{key}")
        return max(values) if values else default

    def per_layer(self, key: str, n_layers: int, default: int) -> tuple[int, ...]:
        values = self.file.numbers(f"{self.architecture}.{key}") or (default,)
        return values[:n_layers] if len(values) > 1 else values * n_layers


def _header(path: Path, file: GgufFile) -> Header:
    keys = _Keys(file)
    n_layers, n_embd = keys.own("block_count"), keys.own("embedding_length")
    n_heads = keys.own("attention.head_count")
    head_length = n_embd // n_heads if n_heads else 0
    kv_heads = _kv_heads(keys, n_layers, n_heads)
    kind = keys.text("tokenizer.ggml.model")
    return Header(
        path=path,
        architecture=keys.architecture,
        name=keys.text("general.name"),
        license=keys.text("general.license"),
        parameters=file.parameters(),
        quantization=QUANTIZATIONS.get(keys.number("general.file_type", -1), "unknown"),
        file_size=path.stat().st_size,
        weight_bytes=file.weight_bytes(),
        n_layers=n_layers,
        ctx_train=keys.own("context_length"),
        n_embd=n_embd,
        n_ff=keys.own("feed_forward_length"),
        n_heads=n_heads,
        kv_heads=kv_heads,
        key_length=keys.own("attention.key_length", head_length),
        value_length=keys.own("attention.value_length", head_length),
        sliding_window=keys.own("attention.sliding_window"),
        state_bytes=_state_bytes(keys, n_layers, kv_heads),
        memory=_memory_kind(keys, kv_heads),
        vocab_kind=VOCABULARIES.get(kind, "none" if kind in {"", "no_vocab", "none"} else kind),
        vocab_size=file.length("tokenizer.ggml.tokens") or keys.own("vocab_size"),
        chat_template=keys.text("tokenizer.chat_template") or None,
        end_tokens=_end_tokens(keys),
        n_parts=max(1, keys.number("split.count", 1)),
        unusable="",
    )


def _recurrent(keys: _Keys) -> bool:
    return any(keys.own(key) for key in RECURRENT_KEYS)


def _kv_heads(keys: _Keys, n_layers: int, n_heads: int) -> tuple[int, ...]:
    """Key-value heads of each layer; the layers between full attention ones keep a recurrent state."""
    heads = keys.per_layer("attention.head_count_kv", n_layers, n_heads)
    interval = keys.own("full_attention_interval")
    if interval > 1 and _recurrent(keys):
        return tuple(n if (i + 1) % interval == 0 else 0 for i, n in enumerate(heads))
    return heads


def _state_bytes(keys: _Keys, n_layers: int, kv_heads: tuple[int, ...]) -> int:
    """Bytes of recurrent state in float32, by the shapes of Mamba; other kinds keep states of that order."""
    inner, state = keys.own("ssm.inner_size"), keys.own("ssm.state_size")
    convolution = max(0, keys.own("ssm.conv_kernel") - 1) * (inner + 2 * keys.own("ssm.group_count") * state)
    short = max(0, keys.own("shortconv.l_cache") - 1) * keys.own("embedding_length")
    head = keys.own("wkv.head_size") * keys.own("embedding_length")
    layers = sum(1 for n in kv_heads if n == 0) or n_layers
    return 4 * layers * (convolution + inner * state + short + head)


def _memory_kind(keys: _Keys, kv_heads: tuple[int, ...]) -> MemoryGuess:
    encoder = "bert" in keys.architecture or keys.architecture in ENCODERS
    if encoder or keys.file.value(f"{keys.architecture}.attention.causal") is False:
        return "none"
    if _recurrent(keys):
        return "hybrid" if any(kv_heads) else "recurrent"
    return "sliding" if keys.own("attention.sliding_window") else "plain"


def _end_tokens(keys: _Keys) -> tuple[str, ...]:
    ids = (keys.number(f"tokenizer.ggml.{kind}_token_id", -1) for kind in ("eos", "eot", "eom"))
    return keys.file.texts("tokenizer.ggml.tokens", list(dict.fromkeys(ids)))
