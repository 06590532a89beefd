"""The options that say which models are loaded and how, as a record that lasts.

Here: `load_options`, for the history and for finding a server that was started with the same ones.
Not here: what they mean (`cli.common.session`).
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from blendin_local.cli.common.options import ROLES, SessionOptions
from blendin_local.core.roles import ROLES as MODEL_ROLES
from blendin_local.paths import expand_user, is_file, working_directory
from blendin_local.settings import scaled_file

OF_ONE_RUN = frozenset({"pull", "offline"})  # options that change nothing once the files are there
VECTOR_NAMES = ("control_vector", *(f"{role}_control_vector" for role in ROLES))


def load_options(options: SessionOptions) -> dict[str, Any]:
    """The options about the models that were given, with paths that hold in every directory."""
    groups: tuple[Any, ...] = (options.models, options.runtime)
    given = {each.name: getattr(group, each.name) for group in groups for each in fields(group)}
    return {
        name: _lasting(name, value)
        for name, value in given.items()
        if value is not None and name not in OF_ONE_RUN
    }


def _lasting(name: str, value: Any) -> Any:  # noqa: ANN401 - a value per option
    if isinstance(value, Path) or (name in MODEL_ROLES and is_file(expand_user(value))):
        return str((working_directory() or Path()) / expand_user(value))
    if name in VECTOR_NAMES and is_file(path := expand_user((vector := scaled_file(value)).path)):
        return str(vector._replace(path=(working_directory() or Path()) / path))
    return value
