"""Answers without a whole manifest: what they are, before anybody takes them over.

Here: `Adoption`; `look`, which compares the settings in answers with those of this run; `answered_on`.
Not here: asking the user (`cli.batch.run`), writing the manifest (`run`).
A line of an answer carries its signature (`Pair`): models, method, thresholds, sampling. It does not carry
its prompt: that an answer belongs to a row is known by its id alone.
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

MODEL_FACTS = ("size", "kv_type")


@dataclass(frozen=True)
class Adoption:
    """What would be taken over.

    Attributes:
        places: The files.
        identity: What would be written about them: input, models and settings of this run.
        answered: Rows with an answer.
        failed: Rows in the errors.
        torn: Bytes of torn last lines.
        silent: Answers that carry no settings.
        differing: Answers that carry other settings, by id, and which.
    """

    places: BatchPaths
    identity: Identity
    answered: int
    failed: int
    torn: int
    silent: int
    differing: Mapping[str, str]

    @property
    def rows(self) -> int:
        """All rows."""
        return self.answered + self.failed


def look(scan: Scan, places: BatchPaths, identity: Identity) -> Adoption:
    """See what lies there; nothing is changed.

    Raises:
        UsageError: It holds rows of something else, or a row twice.
    """
    kept = FinishedRows(scan, places)
    recorded: dict[int, str] = {}
    same: dict[str, str] = {}  # most answers carry the same settings, which are kept once

    def take(line: Mapping[str, Any]) -> None:
        kept.take_answer(line)
        if isinstance(signature := record_of(line).get("signature"), dict) and "blend" in signature:
            text = json.dumps(signature)
            recorded[scan.index.row_of(line["custom_id"]) or 0] = same.setdefault(text, text)

    torn = read_back(places.answers, take).torn + read_back(places.errors, kept.take_error).torn
    answered = kept.state.count(ANSWERED)
    return Adoption(
        places=places,
        identity=identity,
        answered=answered,
        failed=kept.state.count(FAILED),
        torn=torn,
        silent=answered - len(recorded),
        differing=dict(_differing(scan, identity, recorded)),
    )


def answered_on(answers: Path) -> date | None:
    """The date that the guide's template was told for the first answer here; None where no answer says."""
    try:
        with open(answers, "rb") as file:
            line = json.loads(file.readline())
        return date.fromisoformat(record_of(line)["signature"]["date"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # no file, or no answer of ours: `look` says what is wrong with it


def _differing(scan: Scan, identity: Identity, recorded: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(scan.read()):
        if number not in recorded:
            continue
        if not isinstance(row, Row):
            yield row.id, f"its row is bad: {row.message}"
        elif differences := _differences(json.loads(recorded[number]), row.request, identity):
            yield row.request.key, "; ".join(differences)


def _differences(signature: Mapping[str, Any], request: Request, identity: Identity) -> list[str]:
    """What an answer carries otherwise than this run would; what only one of them says is no difference."""
    sampling, answer = asdict(request.sampling), {**asdict(request.answer), "stop": list(request.answer.stop)}
    if request.sampling.seed is None:
        sampling.pop("seed")  # it was drawn
    stop = (signature.get("answer") or {}).get("stop")
    if isinstance(stop, list) and stop[: len(answer["stop"])] == answer["stop"]:
        answer.pop("stop")  # the template's own follow
    wanted = {
        "blend": {**asdict(request.blend), "alpha": request.blend.alpha_name},
        "sampling": sampling,
        "answer": answer,
        **{name: identity.to_json()["settings"].get(name) for name in ("thinking", "template", "date")},
        "models": {role: _model(identity, role) for role in identity.models},
    }
    if isinstance(models := signature.get("models"), Mapping):
        signature = {**signature, "models": by_current_role(models)}
    was = _common(signature, wanted)
    return [difference.removeprefix(".") for difference in differences_of("", was, _common(wanted, was))]


def _model(identity: Identity, role: str) -> dict[str, Any]:
    facts = {**(identity.settings.get(role) or {}), **identity.models[role]}
    return {name: facts[name] for name in MODEL_FACTS if name in facts}


def _common(one: Any, other: Any) -> Any:  # noqa: ANN401 - anything that JSON can hold
    """What of `one` stands in `other` too."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {key: _common(one[key], other[key]) for key in one if key in other}
    return one
