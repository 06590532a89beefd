"""How many tokens llama.cpp is given at once.

Here: `prefill_chunk`, of a prompt; `batch_tokens`, in one call.
Not here: which tokens (`engine.sequence`), the call (`engine.context`).
llama.cpp's logits depend on how many tokens are evaluated at once, so the size follows from the settings and
from whether there is a GPU, never from a measurement, and is part of an answer's signature.
"""

from __future__ import annotations

from blendin_local.engine.batch import n_outputs
from blendin_local.engine.sequence import PREFILL_CHUNK
from blendin_local.settings import ModelSettings

GPU_CHUNK = 512  # llama.cpp's own size; a GPU is hardly busy with fewer
BATCH_TOKENS = 512


def prefill_chunk(settings: ModelSettings, *, offloads: bool) -> int:
    """How many tokens of a prompt are evaluated at once.

    Args:
        settings: Of the model; a size that they name is taken.
        offloads: Whether layers of it are on a GPU.
    """
    return settings.ubatch_size or (GPU_CHUNK if offloads else PREFILL_CHUNK)


def batch_tokens(chunk: int, n_parallel: int) -> int:
    """How many tokens one call has room for: a whole chunk, beside the tokens of other conversations.

    A chunk that found no room beside them would wait until all of them have ended.
    """
    return max(BATCH_TOKENS, chunk + (n_outputs(n_parallel) if n_parallel > 1 else 0))
