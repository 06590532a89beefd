"""The metadata of a model file: shape, vocabulary, memory kind, chat template.

Here: `Header`, `read_header`, and the checks that a file is a whole GGUF before llama.cpp is asked.
Not here: the bytes of the file (`engine.gguf.reader`), which values make sense (`engine.gguf.bounds`), how
much
memory it takes (`engine.memory`).
Source: the GGUF key names of llama.cpp (`src/llama-arch.cpp`).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from blendin_local.engine.gguf.bounds import require_bounds
from blendin_local.engine.gguf.layers import (
    NO_WEIGHTS,
    Keys,
    MemoryGuess,
    WeightPlaces,
    layer_kv_heads,
    layer_state_bytes,
    memory_kind,
    repacked_bytes,
    weight_places,
    windowed_layers,
)
from blendin_local.engine.gguf.reader import GgufFile
from blendin_local.errors import LoadError
from blendin_local.settings import KvType

MAGIC = b"GGUF"
VOCABULARIES = {"gpt2": "BPE", "llama": "SPM", "bert": "WPM", "t5": "UGM", "rwkv": "RWKV", "plamo2": "PLAMO2"}
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
RECENT_NS = 2 * 10**9  # a file may change again without another time of change
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


@dataclass(frozen=True, slots=True)
class Header:
    """The metadata of a GGUF file.

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
        n_heads: Number of attention heads (of the layer with the most).
        kv_heads: Key-value heads of each layer; 0 if a layer keeps no keys and values.
        key_length: Length of one head's key.
        value_length: Length of one head's value.
        sliding_window: Tokens that windowed layers look back; 0 without such layers.
        state_bytes: Bytes of recurrent state of one sequence.
        memory: The kind of memory that its layers have, judged by the keys; `none` for encoders.
        vocab_kind: `BPE`, `SPM`, `WPM`, ... or `none`.
        vocab_size: Number of tokens.
        chat_template: The Jinja template, or None.
        end_tokens: The tokens it declares as ends (llama.cpp may know more).
        n_parts: Files it is split into.
        unusable: Why it cannot write text; empty if it can.
        windowed: Whether each layer looks back only so far as its sliding window; empty if none does.
        repacked_bytes: Bytes of weights that llama.cpp copies into another layout, over all parts.
        weights: Their bytes layer by layer, over all parts.
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
    windowed: tuple[bool, ...] = ()
    repacked_bytes: int = 0
    weights: WeightPlaces = NO_WEIGHTS

    def kv_bytes_per_token(
        self, kv_type: KvType = "f16", *, windowed: bool | None = None, layers: range | None = None
    ) -> int:
        """Bytes of KV cache that one token takes.

        Args:
            kv_type: The cache's number format.
            windowed: Count only layers that look back through a window, or only those that do not.
            layers: Count only these layers; None for all.
        """
        block, size = BYTES_PER_BLOCK[kv_type]
        kinds = self.windowed or (False,) * len(self.kv_heads)
        counted = list(zip(self.kv_heads, kinds, strict=False))
        if layers is not None:
            counted = counted[layers.start : layers.stop]
        heads = sum(n for n, kind in counted if windowed in {None, kind})
        return heads * (self.key_length + self.value_length) * size // block

    def state_bytes_of(self, layers: range) -> int:
        """Bytes of one sequence's recurrent state in some layers."""
        keeps = [n == 0 for n in self.kv_heads]
        if not any(keeps):  # every layer keeps one, or none does
            keeps = [True] * len(keeps)
        return self.state_bytes * sum(keeps[layers.start : layers.stop]) // max(1, sum(keeps))


def beginning(head: bytes) -> str:
    """The first bytes of a file in a message: as text if they are text, else as hexadecimal numbers."""
    text = head.decode("ascii", "replace")
    return repr(text) if text.isprintable() and "\N{REPLACEMENT CHARACTER}" not in text else head.hex(" ")


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
        raise LoadError(f"{path} is not a GGUF file (it begins with {beginning(head)})", hint)


def read_header(path: Path) -> Header:
    """Read the metadata of a model file, without loading weights.

    Args:
        path: A GGUF file. For a split model, its first part; the other parts must be in the same folder.

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
        other = _read_one(part, header.n_layers)
        header = replace(
            header,
            parameters=header.parameters + other.parameters,
            file_size=header.file_size + other.file_size,
            weight_bytes=header.weight_bytes + other.weight_bytes,
            repacked_bytes=header.repacked_bytes + other.repacked_bytes,
            weights=header.weights + other.weights,
        )
    return replace(header, unusable=_why_unusable(header))


def split_parts(path: Path, count: int) -> list[Path]:
    """The files of a model that is split into `count`, in order; `path` itself where it is not."""
    match = _SPLIT.search(path.name)
    if match is None or count <= 1:
        return [path]
    stem = path.name[: match.start()]
    return [path.with_name(f"{stem}-{i:05d}-of-{count:05d}.gguf") for i in range(1, count + 1)]


def _read_one(path: Path, n_layers: int = 0) -> Header:
    """The header of one file; of a file that has not changed since, the one that was read before.

    Args:
        path: The file.
        n_layers: The model's, which a later part of a split model does not say.
    """
    check_whole_file(path)
    status = path.stat()
    changed_ns = max(status.st_mtime_ns, status.st_ctime_ns)
    if not 0 < changed_ns < time.time_ns() - RECENT_NS:
        return _parsed(path, n_layers)
    return _known(
        path, n_layers, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    )


@lru_cache(maxsize=32)
def _known(path: Path, n_layers: int, state: tuple[int, ...]) -> Header:
    return _parsed(path, n_layers)


def _parsed(path: Path, n_layers: int) -> Header:
    with GgufFile(path) as file:
        require_bounds(file)
        header = _header(path, file, n_layers)
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


def _header(path: Path, file: GgufFile, n_layers: int) -> Header:
    keys = Keys(file)
    n_layers, n_embd = keys.arch_number("block_count") or n_layers, keys.arch_number("embedding_length")
    n_heads = keys.arch_number("attention.head_count")
    head_length = n_embd // n_heads if n_heads else 0
    kv_heads = layer_kv_heads(keys, n_layers, n_heads)
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
        ctx_train=keys.arch_number("context_length"),
        n_embd=n_embd,
        n_ff=keys.arch_number("feed_forward_length"),
        n_heads=n_heads,
        kv_heads=kv_heads,
        key_length=keys.arch_number("attention.key_length", head_length),
        value_length=keys.arch_number("attention.value_length", head_length),
        sliding_window=keys.arch_number("attention.sliding_window"),
        state_bytes=layer_state_bytes(keys, n_layers, kv_heads),
        memory=memory_kind(keys, kv_heads),
        vocab_kind=VOCABULARIES.get(kind, "none" if kind in {"", "no_vocab", "none"} else kind),
        vocab_size=file.length("tokenizer.ggml.tokens") or keys.arch_number("vocab_size"),
        chat_template=keys.text("tokenizer.chat_template") or None,
        end_tokens=_end_tokens(keys),
        n_parts=max(1, keys.number("split.count", 1)),
        unusable="",
        windowed=windowed_layers(keys, n_layers),
        repacked_bytes=repacked_bytes(file.tensors),
        weights=weight_places(file.tensors, n_layers),
    )


def _end_tokens(keys: Keys) -> tuple[str, ...]:
    ids = (keys.number(f"tokenizer.ggml.{kind}_token_id", -1) for kind in ("eos", "eot", "eom"))
    return keys.file.texts("tokenizer.ggml.tokens", list(dict.fromkeys(ids)))
