"""Trials: the validation set is answered once with each setting, as a batch in a directory, and scored.

Here: `TrialRunner`, which runs one; `Trial`, its result; `run_search`, which runs the trials of a search.
Not here: which settings are tried (`search`), what counts as better (`report`), batches (`jobs.batch`).
A trial is finished when its batch is. Stopped at any time, the next run continues with what is on disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from blendin_local.jobs.batch.scan import Scan, scan_rows
from blendin_local.jobs.request_values import RequestDefaults
from blendin_local.jobs.scoring.figures import figures
from blendin_local.jobs.scoring.items import Benchmark, Item, Verdict
from blendin_local.jobs.scoring.statistics import Interval
from blendin_local.jobs.tune.search import Search
from blendin_local.jobs.tune.setting import TrialSetting

ROWS = "rows.jsonl"


@dataclass(frozen=True)
class Trial:
    """The result of one setting.

    Attributes:
        setting: What it set.
        verdicts: Every question's verdict; a question without an answer is scored as an empty one.
        score: The benchmark's main figure with its interval.
        counts: Steps, asked and changed over all answers.
        top1_probs: The base's top-1 probability at every step, ascending.
        failed: Questions without an answer.
        gate_open: Of the prompts that a gate judged, the share at which it opened; None if none was judged.
        answers: Where the answers are.
    """

    setting: TrialSetting
    verdicts: Mapping[str, Verdict]
    score: Interval
    counts: BlendSummary
    top1_probs: Sequence[float]
    failed: int
    answers: Path
    gate_open: float | None = None

    @property
    def name(self) -> str:
        """That of its setting."""
        return self.setting.name

    @property
    def score_value(self) -> float:
        """The score's value."""
        return self.score.value

    @property
    def intervention_rate(self) -> float:
        """Asked steps over all steps."""
        return self.counts.intervention_rate


@dataclass(frozen=True)
class Provenance:
    """What answers depend on, for the manifests.

    Attributes:
        models: File, size and hash of each model.
        settings: Given what a trial sets and the defaults of its rows, all settings that decide its answers.
        facts: Versions and names.
    """

    models: Mapping[str, Any]
    settings: Callable[[TrialSetting, RequestDefaults], Mapping[str, Any]]
    facts: Mapping[str, Any]


class TrialRunner:
    """Answers a validation set with one setting after another, in a directory.

    Args:
        folder: The directory; created if it does not exist.
        benchmark: How answers are scored.
        items: The questions.
        defaults: Limits, sampling and instructions of every answer.
        provenance: What the answers depend on.

    Raises:
        UsageError: The directory holds trials on other questions.
        WriteError: It cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        benchmark: Benchmark,
        items: Sequence[Item],
        defaults: RequestDefaults,
        provenance: Provenance,
    ) -> None:
        self.folder, self.benchmark, self.items = folder, benchmark, items
        self._defaults, self._provenance = defaults, provenance
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
                "choose another -o, or the same --data or --for, and the same --limit",
            )
        return scan_rows(path, None, self._defaults, lambda _: None)

    def run(
        self,
        setting: TrialSetting,
        pair: Callable[[], BatchPair],
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[BatchProgress], None] = lambda _: None,
    ) -> Trial | None:
        """Answer and score the set with one setting.

        Args:
            setting: What the trial sets.
            pair: Opens the models; called only where an answer is missing.
            should_stop: Polled.
            on_progress: Called before the first answer and after each, unless all are on disk.

        Returns:
            The trial, or None if it was stopped; finished answers are kept.
        """
        scan = replace(self._scan, defaults=replace(self._defaults, blend=setting.blend))
        paths = BatchPaths.of(self._scan.source, self.folder / f"{setting.file_name}.jsonl")
        source = self._provenance
        identity = Identity(
            {"sha256": scan.sha256, "size": scan.size},
            source.models,
            source.settings(setting, scan.defaults),
        )
        with Batch.open(scan, paths, BatchOptions(with_steps=True), identity, source.facts) as batch:
            progress = batch.progress()
            if progress.left and not should_stop():
                on_progress(progress)
                progress = batch.answer(pair(), should_stop, on_progress)
        return None if progress.left else self._scored(setting, paths.answers, progress)

    def _scored(self, setting: TrialSetting, answers: Path, progress: BatchProgress) -> Trial:
        lines = {line["custom_id"]: line for line in _lines(answers)}
        texts = {key: line["text"] for key, line in lines.items()}
        verdicts = {item.key: self.benchmark.score(item, texts.get(item.key, "")) for item in self.items}
        scores = figures(self.benchmark, verdicts)
        if self.benchmark.main_figure not in scores:
            raise UsageError(
                f"{self.benchmark.main_figure} applies to none of the questions", "raise --limit"
            )
        steps = (step for line in lines.values() for step in line["steps"])
        top1_probs = sorted(step["base_top"]["p"] for step in steps if step["base_top"])
        total = progress.blend
        return Trial(
            setting=setting,
            verdicts=verdicts,
            score=scores[self.benchmark.main_figure],
            counts=BlendSummary(total.steps, total.asked, total.changed, None),
            top1_probs=tuple(top1_probs),
            failed=progress.failed,
            answers=answers,
            gate_open=_gate_open(lines.values()),
        )


def _gate_open(lines: Iterable[Mapping[str, Any]]) -> float | None:
    judged = [line["signature"]["steering"] for line in lines if "steering" in line.get("signature", {})]
    return sum(reading["open"] for reading in judged) / len(judged) if judged else None


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.exists():  # it does not where every row failed
        with path.open("rb") as file:
            yield from map(json.loads, file)


def run_search(
    searches: Iterable[Search],
    run: Callable[[TrialSetting], Trial | None],
    trials: dict[TrialSetting, Trial],
) -> bool:
    """Run the trials that searches ask for, no setting twice.

    Args:
        searches: One after another.
        run: Runs a trial; None if it was stopped.
        trials: Filled with every trial in order.

    Returns:
        Whether all searches came to their end.
    """
    for search in searches:
        try:
            setting = next(search)
            while True:
                if setting not in trials:
                    trial = run(setting)
                    if trial is None:
                        return False
                    trials[setting] = trial
                setting = search.send(trials[setting])
        except StopIteration:
            continue
    return True
