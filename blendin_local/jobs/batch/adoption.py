"""Answers without a whole manifest: what is known about them before they are adopted.

Here: `find_adoptable`, which compares the settings in answers with those of this run; `AdoptableAnswers`,
what it found; `first_answer_date`.
Not here: the question to the user (`job`), the manifest (`batch`).
An answer's line has its signature (`Pair`): models, method, thresholds, sampling. It does not have its
prompt: only the id identifies the row that it answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from blendin_local.core.record_json import by_current_role
from blendin_local.jobs.batch.formats import record_of
from blendin_local.jobs.batch.jsonl_file import read_back
from blendin_local.jobs.batch.manifest import Identity, differences_of
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import ANSWERED, FAILED, FinishedRows
from blendin_local.jobs.batch.rows import Row
from blendin_local.jobs.batch.scan import Scan
from blendin_local.pair.pair import Request
from blendin_local.settings import LATER_FIELDS, BlendSettings

_LATER = {name: getattr(BlendSettings, name) for name in LATER_FIELDS}
MODEL_FACTS = ("size", "kv_type")
SHOWN_BLEND = ("threshold", "alpha", "top_k")  # beside the method
MAX_IDS = 5  # of differing answers that are shown


@dataclass(frozen=True)
class AdoptableAnswers:
    """What would be adopted.

    Attributes:
        paths: The files.
        identity: What would be written to the manifest: input, models and settings of this run.
        answered: Rows with an answer.
        failed: Rows in the errors.
        torn: Bytes of incomplete last lines.
        without_settings: Answers that have no settings to compare.
        differing: By id, in what the settings of answers differ from those of this run.
    """

    paths: BatchPaths
    identity: Identity
    answered: int
    failed: int
    torn: int
    without_settings: int
    differing: Mapping[str, str]

    @property
    def rows(self) -> int:
        """All rows."""
        return self.answered + self.failed

    def describe(self) -> Iterator[str]:
        """Lines with the existing answers, the settings of this run, and the differences between the two."""
        paths, settings = self.paths, self.identity.settings
        yield f"{paths.answers}: {_rows(self.answered)} answered, {self.failed} in {paths.errors.name}"
        if self.torn:
            yield f"  an incomplete last line ({self.torn:,} bytes) will be removed"
        yield f"  by their ids they will count as answers to {paths.source}; their prompts are not recorded"
        for role, model in self.identity.models.items():
            yield f"  {role}: {model['file']} ({model['size']:,} bytes)"
        yield f"  settings of this run: {_settings_text(settings)}"
        if self.without_settings:
            yield f"  no settings to compare in {_rows(self.without_settings)}"
        if not self.differing:
            compared = self.answered > self.without_settings
            yield "  all settings are those of this run" if compared else "  nothing was compared"
            return
        yield f"  other settings in {_rows(len(self.differing))}:"
        for key in list(self.differing)[:MAX_IDS]:
            yield f"    {key}: {self.differing[key]}"
        if len(self.differing) > MAX_IDS:
            yield f"    and {len(self.differing) - MAX_IDS} more"


def _rows(n: int) -> str:
    return f"{n} row" if n == 1 else f"{n} rows"


def _settings_text(settings: Mapping[str, Any]) -> str:
    blend = settings.get("blend", {})
    words = [str(blend.get("method")), *(f"{name} {blend.get(name)}" for name in SHOWN_BLEND)]
    words.append(f"temperature {settings.get('sampling', {}).get('temperature')}")
    return ", ".join([*words, f"max tokens {settings.get('answer', {}).get('max_tokens')}"])


def find_adoptable(scan: Scan, paths: BatchPaths, identity: Identity) -> AdoptableAnswers:
    """Look at the answers; nothing is changed.

    Raises:
        UsageError: They hold rows of another input, or a row twice.
    """
    finished = FinishedRows(scan, paths)
    recorded: dict[int, str] = {}
    same: dict[str, str] = {}  # most answers have the same settings, which are stored once

    def on_line(line: Mapping[str, Any]) -> None:
        finished.add_answer(line)
        if isinstance(signature := record_of(line).get("signature"), dict) and "blend" in signature:
            text = json.dumps(signature)
            recorded[scan.index.row_of(line["custom_id"]) or 0] = same.setdefault(text, text)

    torn = read_back(paths.answers, on_line).torn + read_back(paths.errors, finished.add_error).torn
    answered = finished.state.count(ANSWERED)
    return AdoptableAnswers(
        paths=paths,
        identity=identity,
        answered=answered,
        failed=finished.state.count(FAILED),
        torn=torn,
        without_settings=answered - len(recorded),
        differing=dict(_differing(scan, identity, recorded)),
    )


def first_answer_date(answers: Path) -> date | None:
    """The date that the chat template got for the first answer; None if no answer has one."""
    try:
        with open(answers, "rb") as file:
            line = json.loads(file.readline())
        return date.fromisoformat(record_of(line)["signature"]["date"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # no file, or not an answer of ours: `find_adoptable` reports the error


def _differing(scan: Scan, identity: Identity, recorded: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(scan.read()):
        if number not in recorded:
            continue
        if not isinstance(row, Row):
            yield row.id, f"its row is invalid: {row.message}"
        elif differences := _differences(json.loads(recorded[number]), row.request, identity):
            yield row.request.key, "; ".join(differences)


def _differences(signature: Mapping[str, Any], request: Request, identity: Identity) -> list[str]:
    """How an answer's signature differs from this run's; keys that only one of them has do not count."""
    sampling, answer = (
        request.sampling.to_json(),
        {**asdict(request.answer), "stop": list(request.answer.stop)},
    )
    if request.sampling.seed is None:
        sampling.pop("seed")  # it was drawn at random
    stop = (signature.get("answer") or {}).get("stop")
    if isinstance(stop, list) and stop[: len(answer["stop"])] == answer["stop"]:
        answer.pop("stop")  # those of the template follow
    expected = {
        "blend": _LATER | request.blend.to_json(),
        "sampling": sampling,
        "answer": answer,
        **{name: identity.to_json()["settings"].get(name) for name in ("thinking", "template", "date")},
        "models": {role: _model(identity, role) for role in identity.models},
    }
    if isinstance(models := signature.get("models"), Mapping):
        signature = {**signature, "models": by_current_role(models)}
    if isinstance(blend := signature.get("blend"), Mapping):
        signature = {**signature, "blend": {**_LATER, **blend}}  # what it leaves out was the default
    was = _common(signature, expected)
    return [difference.removeprefix(".") for difference in differences_of("", was, _common(expected, was))]


def _model(identity: Identity, role: str) -> dict[str, Any]:
    facts = {**(identity.settings.get(role) or {}), **identity.models[role]}
    return {name: facts[name] for name in MODEL_FACTS if name in facts}


def _common(one: Any, other: Any) -> Any:  # noqa: ANN401 - anything that JSON can hold
    """The part of `one` whose keys `other` has too."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {key: _common(one[key], other[key]) for key in one if key in other}
    return one
