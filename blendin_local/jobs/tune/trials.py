"""Trials: each setting answers the validation set once, as a batch in a directory, and is scored.

Here: `TrialRunner`, the set and the directory; `Trial`, what one setting came to; `run_search`, which runs a
search.
Not here: which settings are tried (`search`), what counts as better (`verdict`), batches (`jobs.batch`).
A trial is finished when its batch is: stopped at any time, the next run finds what is on the disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blendin_local.core.records import BlendSummary
from blendin_local.errors import UsageError, WriteError
from blendin_local.jobs.batch.batch import Batch, BatchPair
from blendin_local.jobs.batch.jsonl_file import encode, replace_file
from blendin_local.jobs.batch.manifest import Identity
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import BatchOptions, BatchProgress
from blendin_local.jobs.batch.rows import RowDefaults
from blendin_local.jobs.batch.scan import Scan, scan_rows
from blendin_local.jobs.evaluation.dataset.items import Benchmark, Item, Verdict
from blendin_local.jobs.evaluation.score.figures import figures
from blendin_local.jobs.evaluation.score.statistics import Interval
from blendin_local.jobs.tune.search import Search
from blendin_local.settings import BlendSettings

ROWS = "rows.jsonl"
Watch = Callable[[BlendSettings, BatchProgress], AbstractContextManager[Callable[[BatchProgress], None]]]


@dataclass(frozen=True)
class Trial:
    """One setting, tried.

    Attributes:
        blend: The setting.
        verdicts: Every question's verdict; one that has no answer is scored as if nothing was said.
        score: The benchmark's main figure with its interval.
        counts: Steps, asked and changed over all answers.
        top1_probs: The base's top-1 probability at every step, ascending.
        failed: Questions without an answer.
        answers: Where the answers are.
    """

    blend: BlendSettings
    verdicts: Mapping[str, Verdict]
    score: Interval
    counts: BlendSummary
    top1_probs: Sequence[float]
    failed: int
    answers: Path

    @property
    def figure(self) -> float:
        """The score's value."""
        return self.score.value

    @property
    def intervention_rate(self) -> float:
        """Asked steps over all steps."""
        return self.counts.intervention_rate


@dataclass(frozen=True)
class Provenance:
    """What answers rest on, for the manifests.

    Attributes:
        models: File, size and hash of each model.
        settings: Given the defaults of a trial, all settings that decide its answers.
        facts: Versions and names.
    """

    models: Mapping[str, Any]
    settings: Callable[[RowDefaults], Mapping[str, Any]]
    facts: Mapping[str, Any]


class TrialRunner:
    """A validation set, and the directory in which it is answered with one setting after another.

    Args:
        folder: The directory; made if it is not there.
        benchmark: How answers are scored.
        items: The questions.
        defaults: Limits, sampling and instructions of every answer.
        origin: What the answers rest on.

    Raises:
        UsageError: The directory belongs to trials on other questions.
        WriteError: It cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        benchmark: Benchmark,
        items: Sequence[Item],
        defaults: RowDefaults,
        origin: Provenance,
    ) -> None:
        self.folder, self.benchmark, self.items = folder, benchmark, items
        self._defaults, self._origin = defaults, origin
        self._scan = self._write_rows()

    def _write_rows(self) -> Scan:
        rows = b"".join(encode({"custom_id": item.key, "prompt": item.prompt}) for item in self.items)
        path = self.folder / ROWS
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"{self.folder} cannot be made: {error.strerror}", "choose another -o"
            ) from error
        if not path.exists():
            replace_file(path, [rows])
        elif path.read_bytes() != rows:
            raise UsageError(
                f"{self.folder} holds trials on other questions",
                "choose another -o, or the same --data and --limit",
            )
        return scan_rows(path, None, self._defaults, lambda _: None)

    def run(
        self,
        blend: BlendSettings,
        pair: Callable[[], BatchPair],
        should_stop: Callable[[], bool],
        watch: Watch,
    ) -> Trial | None:
        """Answer and score the set with one setting.

        Args:
            blend: The setting.
            pair: Opens the models at the first trial that needs them.
            should_stop: Polled.
            watch: Shows how far the trial is.

        Returns:
            The trial, or None where it was stopped; what was answered is kept.
        """
        scan = replace(self._scan, defaults=replace(self._defaults, blend=blend))
        places = BatchPaths.of(self._scan.source, self.folder / f"{_file_name(blend)}.jsonl")
        origin = self._origin
        told = {"sha256": scan.sha256, "size": scan.size}
        identity = Identity(told, origin.models, origin.settings(scan.defaults))
        with Batch.open(scan, places, BatchOptions(with_steps=True), identity, origin.facts) as batch:
            progress = batch.progress()
            if progress.left and not should_stop():
                with watch(blend, progress) as listen:
                    progress = batch.answer(pair(), should_stop, listen)
        return None if progress.left else self._scored(blend, places.answers, progress)

    def _scored(self, blend: BlendSettings, answers: Path, progress: BatchProgress) -> Trial:
        lines = {line["custom_id"]: line for line in _lines(answers)}
        texts = {key: line["text"] for key, line in lines.items()}
        verdicts = {item.key: self.benchmark.score(item, texts.get(item.key, "")) for item in self.items}
        found = figures(self.benchmark, verdicts)
        if self.benchmark.main_figure not in found:
            raise UsageError(
                f"{self.benchmark.main_figure} applies to none of the questions", "raise --limit"
            )
        tops = (
            step["base_top"]["p"] for line in lines.values() for step in line["steps"] if step["base_top"]
        )
        counts = progress.blend
        return Trial(
            blend=blend,
            verdicts=verdicts,
            score=found[self.benchmark.main_figure],
            counts=BlendSummary(counts.steps, counts.asked, counts.changed, None),
            top1_probs=tuple(sorted(tops)),
            failed=progress.failed,
            answers=answers,
        )


def _file_name(blend: BlendSettings) -> str:
    return f"threshold-{blend.threshold:g}-alpha-{blend.alpha_name}"


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.exists():  # it is not where every row failed
        with path.open("rb") as file:
            yield from map(json.loads, file)


def run_search(
    searches: Iterable[Search],
    run: Callable[[BlendSettings], Trial | None],
    tried: dict[BlendSettings, Trial],
) -> bool:
    """Try what searches wish, no setting twice.

    Args:
        searches: One after another.
        run: Tries a setting; None where it was stopped.
        tried: Filled with every trial in order.

    Returns:
        Whether it went through.
    """
    for search in searches:
        try:
            wanted = next(search)
            while True:
                if wanted not in tried:
                    trial = run(wanted)
                    if trial is None:
                        return False
                    tried[wanted] = trial
                wanted = search.send(tried[wanted])
        except StopIteration:
            continue
    return True
