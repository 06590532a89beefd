"""Whether the library that was loaded is the one that the bindings were written for.

Here: `require_layout`, a look at the defaults of the two parameter structs, which go to and fro by value.
Not here: the version of the bindings (`engine.library`).
Source: llama.h of llama-cpp-python 0.3.36. A library with a field more or less reads every later field in the
wrong place; its defaults then lie in the wrong places too.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from blendin_local.errors import LoadError

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "model": {
        "n_gpu_layers": -1,
        "split_mode": 1,
        "load_mode": -1,
        "main_gpu": 0,
        "vocab_only": False,
        "check_tensors": False,
        "use_extra_bufts": True,
        "no_host": False,
        "no_alloc": False,
        "load_mtp": False,
    },
    "context": {
        "n_ctx": 512,
        "n_batch": 2048,
        "n_ubatch": 512,
        "n_seq_max": 1,
        "n_rs_seq": 0,
        "n_outputs_max": 0,
        "n_threads": 4,
        "n_threads_batch": 4,
        "rope_scaling_type": -1,
        "pooling_type": -1,
        "attention_type": -1,
        "flash_attn_type": -1,
        "yarn_ext_factor": -1.0,
        "type_k": 1,
        "type_v": 1,
        "embeddings": False,
        "offload_kqv": True,
        "no_perf": True,
        "op_offload": True,
        "swa_full": True,
        "kv_unified": False,
    },
}
ROOM = 4096  # bytes for fields that a wrong library has more


def require_layout(api: Any, hint: str) -> None:
    """Raise `LoadError` where a struct's defaults are not those of the version in `engine.library`.

    Args:
        api: The module `llama_cpp`.
        hint: What to do then.
    """
    for name, defaults in DEFAULTS.items():
        function = getattr(api, f"llama_{name}_default_params")
        wrong = differences(_call(function), defaults)
        if wrong:
            raise LoadError(
                f"llama.cpp is another version than its Python bindings: the {name} parameters begin with "
                f"{', '.join(wrong[:3])}",
                hint,
            )


def differences(struct: ctypes.Structure, defaults: Mapping[str, Any]) -> list[str]:
    """The fields that do not have their default, in words."""
    found = ((name, getattr(struct, name, None), value) for name, value in defaults.items())
    return [f"{name} {is_now} instead of {value}" for name, is_now, value in found if is_now != value]


def _call(function: Any) -> ctypes.Structure:
    """What a function returns by value, with room for a struct that is larger than it should be."""
    fields = [("struct", function.restype), ("room", ctypes.c_ubyte * ROOM)]
    roomy = type("Roomy", (ctypes.Structure,), {"_fields_": fields})
    address = ctypes.cast(function, ctypes.c_void_p).value
    struct: ctypes.Structure = ctypes.CFUNCTYPE(roomy)(address or 0)().struct
    return struct
