"""The manifest of a batch: its input, models, settings and results.

Here: `Identity`, what all answers of a file share; `Manifest`, written first and last; `read_manifest` and
`require_same`, which the next run needs.
Not here: how rows are answered (`batch`).
Settings that only change the speed (threads, GPU layers, rows at once) may differ between runs; with
reproducible answers, threads may not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from blendin_local.core.methods import Role
from blendin_local.core.record_json import by_current_role
from blendin_local.engine.control_vector import control_vector_facts
from blendin_local.engine.machine import usable_threads
from blendin_local.errors import UsageError
from blendin_local.files import open_private_fd
from blendin_local.jobs.batch.jsonl_file import replace_file
from blendin_local.jobs.request_values import RequestDefaults
from blendin_local.models.store import Store
from blendin_local.pair.setup import PairSetup
from blendin_local.settings import ModelSettings

VERSION = 1
MAX_DIFFERENCES = 4  # shown
PARTS = ("input", "models", "settings", "counts", "times")  # what every manifest must have
MAX_SECONDS = 1e12


@dataclass(frozen=True)
class Identity:
    """What must be equal for answers to share a file.

    Attributes:
        input: Hash and size of the input.
        models: File, size and hash of each model.
        settings: Everything else that decides which bytes the answers have.
    """

    input: Mapping[str, Any]
    models: Mapping[str, Any]
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As written to the manifest."""
        value: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return value


def model_facts(
    paths: Mapping[Role, Path], store: Store, should_stop: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """File, size and sha256 of each model; a hash is computed once and kept.

    Raises:
        KeyboardInterrupt: `should_stop` became true while a file was hashed.
    """
    return {
        role: {"file": path.name, "size": path.stat().st_size, "sha256": store.sha256(path, should_stop)}
        for role, path in paths.items()
    }


def settings_facts(setup: PairSetup, defaults: RequestDefaults, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any setting
    """The settings that the answers depend on; `more` are those of the batch itself."""
    return {
        "blend": defaults.blend.to_json(),
        "sampling": defaults.sampling.to_json(),
        "answer": defaults.answer.to_json(),
        "system": defaults.system,
        "template": asdict(setup.template),
        "guide_template": setup.guide_template and _digest(setup.guide_template),
        **{f"{role}_template": _digest(text) for role, text in setup.further_templates.items()},
        "thinking": setup.thinking,
        "date": setup.date.isoformat(),
        "base": _memory_settings(setup.base_settings),
        "guide": _memory_settings(setup.guide_settings),
        **more,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _memory_settings(settings: ModelSettings) -> dict[str, Any]:
    facts: dict[str, Any] = {"ctx_size": settings.ctx_size, "kv_type": settings.kv_type}
    if not settings.swa_full:
        facts["swa_full"] = False  # tokens that are evaluated again are batched in other shapes
    if settings.control_vector is not None:
        facts["control_vector"] = control_vector_facts(settings.control_vector)
    if settings.reproducible:
        threads = settings.threads or usable_threads()
        facts |= {"reproducible": True, "threads": threads, "flash_attention": settings.flash_attention}
        if settings.ubatch_size:
            facts["ubatch_size"] = settings.ubatch_size
    return facts


@dataclass
class Manifest:
    """The manifest file beside the answers.

    Attributes:
        path: The file.
        identity: What must be equal in all runs.
        facts: Versions and file names of this run.
        times: When the first and the last run started and ended, and the seconds of all.
    """

    path: Path
    identity: Identity
    facts: Mapping[str, Any]
    times: dict[str, Any] = field(default_factory=dict)

    def write(self, state: str, results: Mapping[str, Any]) -> None:
        """Replace the file as a whole.

        Args:
            state: `running`, `stopped` or `finished`.
            results: Counts, rates and speed.
        """
        record = {"version": VERSION, "state": state, **self.identity.to_json(), **self.facts, **results}
        text = json.dumps({**record, "times": self.times}, ensure_ascii=False, indent=2) + "\n"
        replace_file(self.path, [text.encode()], one_writer=True)


class DamagedManifestError(UsageError):
    """The file is not a manifest, or an incomplete one."""


def read_manifest(path: Path) -> Mapping[str, Any] | None:
    """The manifest of an earlier run; None if there is none.

    Raises:
        DamagedManifestError: The file is not a whole manifest.
        UsageError: It has another version, or cannot be read.
    """
    try:
        with open(path, "rb", opener=open_private_fd) as file:
            value = json.load(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", "check the path") from error
    except (ValueError, RecursionError):
        value = None
    if not _is_whole(value):
        raise DamagedManifestError(
            f"{path} is not a whole manifest of blendin batch",
            "choose another -o, or write a new one with --adopt, which first shows what is there",
        )
    if value["version"] != VERSION:
        raise UsageError(
            f"{path} has manifest version {_short(value['version'])}, not {VERSION}", "choose another -o"
        )
    return dict(value)


def _is_whole(value: Any) -> bool:  # noqa: ANN401 - anything that JSON can hold
    """Whether it has all that a resumed run needs; of another version only that number is read."""
    if not isinstance(value, dict) or "version" not in value:
        return False
    if value["version"] != VERSION:
        return True
    if not all(isinstance(value.get(part), dict) for part in PARTS):
        return False
    seconds = value["times"].get("seconds", 0.0)
    return type(seconds) in {int, float} and 0 <= seconds < MAX_SECONDS


def first_run_date(path: Path) -> date | None:
    """The date that the chat template got in the first run; None if there was no run.

    Raises:
        UsageError: The file is not a manifest.
    """
    settings = (read_manifest(path) or {}).get("settings")
    try:
        return date.fromisoformat(settings["date"]) if isinstance(settings, dict) else None
    except (KeyError, TypeError, ValueError):
        return None


def require_same(found: Mapping[str, Any], identity: Identity, answers: Path) -> None:
    """Raise `UsageError` if new answers would not belong to those of the earlier runs."""
    now = identity.to_json()
    found = {**found, "models": by_current_role(found.get("models", {}))}
    if found.get("input", {}).get("sha256") != now["input"]["sha256"]:
        raise UsageError(
            f"{answers} holds answers to another input: the prompts have changed",
            "restore the old input, choose another -o, or start over with --restart",
        )
    differences = [
        difference
        for part in ("models", "settings")
        for difference in differences_of(part, found.get(part), now[part])
    ]
    if differences:
        shown = "; ".join(differences[:MAX_DIFFERENCES])
        more = len(differences) - MAX_DIFFERENCES
        raise UsageError(
            f"{answers} was started with other settings: {shown}"
            + (f"; and {more} more" if more > 0 else ""),
            "use the old settings, choose another -o, or start over with --restart",
        )


def differences_of(name: str, old: object, new: object) -> Iterator[str]:
    """`name: old, now new` for each value that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new} - {"file"}):  # a model file may be renamed
            yield from differences_of(f"{name}.{key}", old.get(key), new.get(key))
    elif old != new:
        yield f"{name.removeprefix('settings.')} was {_short(old)}, now {_short(new)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
