"""Where the history is kept, and whether it is.

Here: `history_file` and `is_off`, which read the environment.
Not here: the option `--no-log` and `[history]` of models.toml (`cli.common.history`), the file itself
(`history.database`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from blendin_local.paths import expand_user

FILE_VARIABLE = "BLENDIN_HISTORY"
OFF_VARIABLE = "BLENDIN_NO_HISTORY"
FILE_NAME = "history.db"


def history_file(env: Mapping[str, str] | None = None) -> Path:
    """The file of the history: `BLENDIN_HISTORY`, or `history.db` in the user's data directory."""
    named = (os.environ if env is None else env).get(FILE_VARIABLE)
    if named:
        return expand_user(named)
    return Path(platformdirs.user_data_dir("blendin-local", appauthor=False)) / FILE_NAME


def is_off(env: Mapping[str, str] | None = None) -> bool:
    """Whether `BLENDIN_NO_HISTORY` is set: then nothing that is typed or answered is kept."""
    return bool((os.environ if env is None else env).get(OFF_VARIABLE))
