"""Which values of a header make sense, seen before anybody multiplies by them.

Here: `require_bounds`.
Not here: how the values lie in the file (`engine.gguf.reader`). What passes here can still be wrong for
llama.cpp:
that is found out by a first load in a child (`engine.trial_load`).
Source: the limits of llama.cpp (`src/llama-hparams.h`: LLAMA_MAX_LAYERS, LLAMA_MAX_EXPERTS) with room to
grow, and what the largest published models have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from blendin_local.engine.gguf.reader import GgufFile, shown
from blendin_local.errors import LoadError

Interval = tuple[float, float]

_MAX_LAYERS = 1024
_COUNT: Interval = (0, 2**16)
_WIDTH: Interval = (0, 2**24)
_ANY: Interval = (-math.inf, math.inf)
_POSITIVE: Interval = (1e-30, 1e15)
_EPSILON: Interval = (1e-30, 1)
# under the architecture's name; of an array every entry
_BOUNDS: dict[str, Interval] = {
    "block_count": (1, _MAX_LAYERS),
    "context_length": (1, 2**31 - 1),
    "embedding_length": (1, 2**20),
    "feed_forward_length": _WIDTH,
    "expert_feed_forward_length": _WIDTH,
    "expert_shared_feed_forward_length": _WIDTH,
    "vocab_size": _WIDTH,
    "attention.head_count": _COUNT,
    "attention.head_count_kv": _COUNT,
    "attention.key_length": _COUNT,
    "attention.value_length": _COUNT,
    "attention.sliding_window": (0, 2**31 - 1),
    "attention.layer_norm_epsilon": _EPSILON,
    "attention.layer_norm_rms_epsilon": _EPSILON,
    "attention.group_norm_epsilon": _EPSILON,
    "rope.dimension_count": _COUNT,
    "rope.freq_base": _POSITIVE,
    "rope.freq_base_swa": _POSITIVE,
    "rope.scaling.factor": (0, 1e9),
    "rope.scale_linear": (0, 1e9),
    "expert_count": (0, 4096),
    "expert_used_count": (0, 4096),
    "full_attention_interval": (0, 1024),
    "ssm.conv_kernel": _COUNT,
    "ssm.inner_size": _WIDTH,
    "ssm.state_size": _COUNT,
    "ssm.time_step_rank": _WIDTH,
    "ssm.group_count": _COUNT,
    "wkv.head_size": _COUNT,
    "shortconv.l_cache": _COUNT,
    "kda.head_dim": _COUNT,
}
_PER_LAYER = ("feed_forward_length", "attention.head_count", "attention.head_count_kv")
_VOCABULARY = "tokenizer.ggml."
_AS_LONG_AS_TOKENS = ("scores", "token_type")
_MAX_TOKENS = 2**22
_NAMES = ("general.architecture", f"{_VOCABULARY}model", f"{_VOCABULARY}pre")
_MAX_NAME_BYTES = 256
_MAX_TEXT_BYTES = 2**20  # bytes of a text that is read or shown


def require_bounds(file: GgufFile) -> None:
    """Raise `LoadError` where a value of the header cannot be; the message names file, key and value."""
    for key, problem in _problems(file):
        raise LoadError(
            f"{file.path} is damaged: {shown(key)[1:-1]} is {problem}",
            "fetch the file again, or name another one",
        )


def _problems(file: GgufFile) -> Iterator[tuple[str, str]]:
    yield from _texts(file)
    architecture = file.value("general.architecture")
    for key in file.entries:
        suffix = key.removeprefix(f"{architecture}.") if isinstance(architecture, str) else key
        yield from _numbers(file, key, _BOUNDS.get(suffix, _ANY))
    yield from _layers(file, f"{architecture}.")
    yield from _vocabulary(file)


def _texts(file: GgufFile) -> Iterator[tuple[str, str]]:
    for key, entry in file.entries.items():
        read = key.startswith("general.") or key in {"tokenizer.chat_template", *_NAMES}
        size = file.text_bytes(key) if read and not entry.array else 0
        limit = _MAX_NAME_BYTES if key in _NAMES else _MAX_TEXT_BYTES
        if size > limit:
            yield key, f"a text of {size:,} bytes, more than {limit:,}"


def _numbers(file: GgufFile, key: str, bounds: Interval) -> Iterator[tuple[str, str]]:
    low, high = bounds
    for value in file.raw_numbers(key) or ():
        if isinstance(value, float) and not math.isfinite(value):
            yield key, str(value)
        elif not low <= value <= high:
            yield key, f"{value}, and must lie between {low:g} and {high:g}"


def _layers(file: GgufFile, prefix: str) -> Iterator[tuple[str, str]]:
    """Arrays with an entry for each layer have enough of them; no more experts are used than there are."""
    n_layers = _largest(file, prefix + "block_count")
    for suffix in _PER_LAYER:
        length = file.length(prefix + suffix)
        if 1 < length < n_layers or length > _MAX_LAYERS:
            yield prefix + suffix, f"an array of {length:,} for {n_layers} layers"
    used, experts = (_largest(file, f"{prefix}expert_{name}") for name in ("used_count", "count"))
    if used > experts:
        yield f"{prefix}expert_used_count", f"{used:g}, more than the {experts:g} experts"


def _largest(file: GgufFile, key: str) -> float:
    return max(file.raw_numbers(key) or (), default=0)


def _vocabulary(file: GgufFile) -> Iterator[tuple[str, str]]:
    n_tokens = file.length(f"{_VOCABULARY}tokens")
    if n_tokens > _MAX_TOKENS:
        yield f"{_VOCABULARY}tokens", f"an array of {n_tokens:,}, more than {_MAX_TOKENS:,}"
    for name in _AS_LONG_AS_TOKENS:
        length = file.length(_VOCABULARY + name)
        if length not in {0, n_tokens}:
            yield _VOCABULARY + name, f"an array of {length:,} for {n_tokens:,} tokens"
