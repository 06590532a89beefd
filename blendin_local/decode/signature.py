"""Everything that determines the bytes of an answer, as a record stored with it.

Here: `signature`: versions, model files and how they are run, prompts, settings.
Not here: what a pair adds, such as its templates and its date (`pair`).
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from blendin_local._version import __version__
from blendin_local.core.answer_start import state_after
from blendin_local.core.methods import Role
from blendin_local.core.records import Step
from blendin_local.decode.loaded_model import LoadedModel
from blendin_local.decode.prompt_spans import digest_of
from blendin_local.decode.request import GenerationSettings
from blendin_local.engine.library import VERSION as LLAMA_CPP_PYTHON_VERSION
from blendin_local.engine.vocabulary import Span


def signature(
    models: Mapping[Role, LoadedModel],
    prompts: Mapping[Role, Sequence[Span]],
    settings: GenerationSettings,
    answer_start: Sequence[Step] = (),
) -> dict[str, Any]:
    """The versions, models, prompts and settings that determine an answer.

    Args:
        models: The loaded models, by role.
        prompts: The rendered prompt of each role that the method may ask.
        settings: All settings of the answer, with the seed filled in.
        answer_start: The steps that it begins with.
    """
    return {
        "versions": {
            "blendin-local": __version__,
            "llama-cpp-python": LLAMA_CPP_PYTHON_VERSION,
            "python": platform.python_version(),
            "machine": platform.machine(),
        },
        "models": {role: models[role].signature() for role in prompts},
        "prompts": {role: digest_of(prompt) for role, prompt in prompts.items()},
        "blend": settings.blend.to_json(),
        "sampling": settings.sampling.to_json(),
        "answer": {**asdict(settings.answer), "stop": list(settings.answer.stop)},
        **({"answer_start": _start_facts(answer_start)} if answer_start else {}),
    }


def _start_facts(start: Sequence[Step]) -> dict[str, Any]:
    """What later steps depend on: the text, and how many steps asked the guide."""
    text = b"".join(step.bytes for step in start)
    return {
        "steps": len(start),
        "asked": state_after(start).asked,
        "sha256": hashlib.sha256(text).hexdigest(),
    }
