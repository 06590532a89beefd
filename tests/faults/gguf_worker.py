"""Opens damaged model files, one after another, as a program does that uses the Python API.

It is run as a process: each line of its input is a JSON list of a path and a trial cache directory, each
line of its output what became of it. That it ends, prints a traceback or hangs is what the trials are about.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import traceback
from pathlib import Path

from blendin_local.decode.loaded_model import LoadedModel
from blendin_local.engine.trial_cache import TrialCache
from blendin_local.errors import BlendinError
from blendin_local.settings import ModelSettings


def open_and_read(path: Path, trial_cache: Path) -> None:
    """Load a file as a base, have it read two tokens, and free it."""
    players = LoadedModel.load_all({"base": (path, ModelSettings(threads=1))}, TrialCache(trial_cache))
    player = players["base"]
    try:
        [sequence] = player.context.sequences
        sequence.begin([1, 2])
        player.context.predict([sequence])
    finally:
        player.close()


def outcome(path: Path, trial_cache: Path) -> dict[str, object]:
    """What became of one file: the refusal, or the traceback of what nobody foresaw."""
    try:
        open_and_read(path, trial_cache)
    except BlendinError as error:
        return {"refused": error.message, "exit": error.exit_code}
    except Exception:  # noqa: BLE001 - reported as a lost trial
        return {"traceback": traceback.format_exc()}
    return {}


def own_kib() -> int:
    """The most memory this process has had; `ru_maxrss` would count what started it, too."""
    try:
        return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    for line in sys.stdin:
        path, trial_cache = map(Path, json.loads(line))
        found = outcome(path, trial_cache)
        found["own_kib"] = own_kib()
        found["child_kib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
