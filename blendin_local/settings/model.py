"""How llama.cpp runs one model: the part of the table of settings that is fixed while a model is loaded.

Here: `ModelSettings`.
Not here: settings of an answer (`settings.table`), how a field is declared and read (`settings.setting`).
"""
# ruff: noqa: RUF009 - `setting` declares a field, as `dataclasses.field` does

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from blendin_local.errors import UsageError
from blendin_local.settings.scaled_file import scaled_file
from blendin_local.settings.setting import Excluded, check_settings, setting

KvType = Literal["f16", "q8_0", "q4_0", "f32"]
QUANTIZED: tuple[KvType, ...] = ("q8_0", "q4_0")
"""Formats that llama.cpp reads with flash attention only."""
UNQUANTIZED: tuple[KvType, ...] = ("f16", "f32")
FlashAttention = Literal["auto", "on", "off"]
DEFAULT_CTX_SIZE = 4096

_LOADED = Excluded("it is fixed while a model is loaded")
_runtime = partial(setting, save=_LOADED, row=_LOADED, sweep=_LOADED)  # a chat opens its pair anew


@dataclass(frozen=True)
class ModelSettings:
    """How llama.cpp runs one model."""

    ctx_size: int | None = _runtime(
        None,
        "Context size in tokens; auto is 4096, or the model's training length if that is shorter.",
        low=32,
        high=2**31 - 1,
        words={"auto": None},
        flags=("-c",),
        env="BLENDIN_CTX_SIZE",
        role_flags=True,
    )
    n_gpu_layers: int | None = _runtime(
        None,
        "Layers to offload to the GPU; auto and all offload every layer if llama.cpp was built for a GPU.",
        low=0,
        high=10_000,
        words={"auto": None, "all": None},
        flags=("--gpu-layers", "-ngl"),
        env="BLENDIN_N_GPU_LAYERS",
        role_flags=True,
    )
    ubatch_size: int | None = _runtime(
        None,
        "Tokens of a prompt evaluated at once; auto is 512 if layers are on a GPU, else 128.",
        low=32,
        high=2048,
        words={"auto": None},
        flags=("-ub",),
    )
    threads: int | None = _runtime(
        None,
        "CPU threads; auto uses the cores that other programs leave free.",
        low=1,
        high=1024,
        words={"auto": None},
        flags=("-t",),
        role_flags=True,
    )
    flash_attention: FlashAttention = _runtime(
        "auto", "Flash attention; auto lets llama.cpp decide.", name="flash-attn", flags=("-fa",)
    )
    kv_type: KvType = _runtime("f16", "Number format of the KV cache.")
    mmap: bool = _runtime(True, "Map the weights from the file instead of reading them.")
    swa_full: bool = _runtime(
        True,
        "For models with sliding-window attention: keep every position in the KV cache. Without it the cache "
        "is smaller, but a chat re-reads more.",
    )
    reproducible: bool = _runtime(
        False,
        "Keep the number of threads fixed and make no drafts: answers are the same on a busy machine.",
    )
    control_vector: str | None = _runtime(
        None,
        "Add a control vector to the model's layers: a GGUF file of llama.cpp or repeng, a factor, and which "
        "of the file's layers to use; all if none are named.",
        words={"none": None},
        role_flags=True,
        of_pair=True,
        metavar="FILE[:SCALE[:FIRST-LAST]]",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.control_vector is not None:
            scaled_file(self.control_vector)
        if self.kv_type in QUANTIZED and self.flash_attention == "off":
            raise UsageError(
                f"kv-type {self.kv_type} needs flash attention, and --flash-attn is off",
                f"leave out --flash-attn off, or choose --kv-type {' or '.join(UNQUANTIZED)}",
            )
