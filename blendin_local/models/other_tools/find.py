"""The models of all other programs on this machine, and one of them by its reference.

Here: `other_models`, `find_other`.
Not here: what each program's folder looks like (`models.other_tools.ollama`, `models.other_tools.folders`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from blendin_local.models.other_tools.folders import (
    hub_cache_files,
    hub_cache_models,
    llama_cpp_models,
    lm_studio_models,
)
from blendin_local.models.other_tools.found import OtherModel, tool_of
from blendin_local.models.other_tools.ollama import full_name, ollama_models
from blendin_local.paths import expand_user

Finder = Callable[[Mapping[str, str], Path], Iterator[OtherModel]]
FINDERS: Mapping[str, Finder] = {
    "ollama": ollama_models,
    "LM Studio": lm_studio_models,
    "llama.cpp": llama_cpp_models,
    "Hugging Face": hub_cache_models,
}


def other_models(env: Mapping[str, str] | None = None, home: Path | None = None) -> list[OtherModel]:
    """Every model file of another program, those that cannot be used included.

    A folder that two programs share is listed for the first of them.

    Args:
        env: Environment variables (default: those of the process).
        home: The home directory (default: that of the user).
    """
    found: list[OtherModel] = []
    for finder in FINDERS.values():
        known = {model.path for model in found if model.path}
        found += [model for model in finder(*_world(env, home)) if model.path not in known]
    return found


def find_other(
    reference: str, env: Mapping[str, str] | None = None, home: Path | None = None
) -> OtherModel | None:
    """The model that a reference such as `ollama:llama3.2:3b` names; None if that program has none."""
    tool = tool_of(reference)
    name = full_name(reference) if tool == "ollama" else reference
    models = FINDERS[tool](*_world(env, home)) if tool else iter(())
    return next((model for model in models if model.reference == name), None)


def cached_files_of(repo: str) -> dict[str, Path]:
    """The files of a repository in the shared Hugging Face cache of this user, by their names in it."""
    return hub_cache_files(*_world(None, None), repo)


def _world(env: Mapping[str, str] | None, home: Path | None) -> tuple[Mapping[str, str], Path]:
    return os.environ if env is None else env, expand_user("~") if home is None else home
