"""The parameters that llama.cpp makes a context with.

Here: `context_parameters`.
Not here: what a context does (`engine.context`), the sizes of batches (`engine.prefill`, `engine.batch`).
"""

from __future__ import annotations

from typing import Any

from blendin_local.engine.library import library, set_fields
from blendin_local.settings import FlashAttention, KvType, ModelSettings

GGML_TYPES: dict[KvType, int] = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}
FLASH_ATTENTION: dict[FlashAttention, int] = {"auto": -1, "off": 0, "on": 1}


def context_parameters(settings: ModelSettings, *, n_batch: int, threads: int, **fields: Any) -> Any:
    """The struct for `llama_init_from_model`.

    Args:
        settings: How the model is run.
        n_batch: Tokens in one call.
        threads: For every evaluation.
        fields: More fields of `llama_context_params`, by their names there.
    """
    parameters = library().api.llama_context_default_params()
    set_fields(
        parameters,
        n_batch=n_batch,
        n_ubatch=n_batch,
        n_threads=threads,
        n_threads_batch=threads,
        flash_attn_type=FLASH_ATTENTION[settings.flash_attention],
        type_k=GGML_TYPES[settings.kv_type],
        type_v=GGML_TYPES[settings.kv_type],
        swa_full=settings.swa_full,
        **fields,
    )
    return parameters
