"""blendin-local: a small aligned guide model steers a larger base model, on your own machine.

The public names are below; they are imported when first used, so that the command line starts quickly.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from blendin_local._version import __version__ as __version__

if TYPE_CHECKING:
    from blendin_local.core.answer_start import fork
    from blendin_local.core.prompts import Message
    from blendin_local.core.records import Candidate, Completion, Step
    from blendin_local.decode.stream import AnswerStream
    from blendin_local.errors import (
        BlendinError,
        ContextFullError,
        FetchError,
        LoadError,
        ModelNotFoundError,
        PairError,
        UsageError,
    )
    from blendin_local.pair.pair import Pair, PairSetup, Request
    from blendin_local.pair.resolve import PairSpec, open_pair
    from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings

_EXPORTS = {
    "core.answer_start": ("fork",),
    "core.prompts": ("Message",),
    "core.records": ("Candidate", "Completion", "Step"),
    "errors": (
        "BlendinError",
        "ContextFullError",
        "FetchError",
        "LoadError",
        "ModelNotFoundError",
        "PairError",
        "UsageError",
    ),
    "pair.resolve": ("PairSpec", "open_pair"),
    "decode.stream": ("AnswerStream",),
    "pair.pair": ("Pair", "PairSetup", "Request"),
    "settings": ("AnswerSettings", "BlendSettings", "ModelSettings", "SamplingSettings"),
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "AnswerSettings",
    "AnswerStream",
    "BlendSettings",
    "BlendinError",
    "Candidate",
    "Completion",
    "ContextFullError",
    "FetchError",
    "LoadError",
    "Message",
    "ModelNotFoundError",
    "ModelSettings",
    "Pair",
    "PairError",
    "PairSetup",
    "PairSpec",
    "Request",
    "SamplingSettings",
    "Step",
    "UsageError",
    "fork",
    "open_pair",
]


def __getattr__(name: str) -> object:
    """Import a public name where it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
