"""The run: every method answers every benchmark's questions, pair by pair, as batches.

Here: `run_tasks`, which loads the models of an entrant once, and only where a row is left.
Not here: how rows are answered and kept (`jobs.batch`), options scored by log-likelihood (`likelihood`),
scores (`score`). Every method gets the same questions, the same token limit and the same stop strings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from blendin_local.core.methods import roles_of
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.batch import Batch, BatchPair
from blendin_local.jobs.batch.manifest import Identity, settings_facts
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import BatchOptions
from blendin_local.jobs.batch.rows import InvalidRow
from blendin_local.jobs.batch.scan import scan_rows
from blendin_local.jobs.evaluation.folder import Folder
from blendin_local.jobs.evaluation.run.likelihood import OptionScorer, score_options
from blendin_local.jobs.evaluation.run.progress import OnProgress, RowCounter, rows_kept
from blendin_local.jobs.evaluation.run.seeded_rows import SeededRows
from blendin_local.jobs.evaluation.spec.entrants import Entrant
from blendin_local.jobs.evaluation.spec.tasks import Task
from blendin_local.jobs.evaluation.spec.variants import Variant
from blendin_local.jobs.preparation import choose_n_parallel
from blendin_local.jobs.request_values import RequestDefaults
from blendin_local.pair.pair import PairSetup
from blendin_local.settings import AnswerSettings


class PairProtocol(BatchPair, OptionScorer, Protocol):
    """What an evaluation needs of a pair."""


OpenPair = Callable[[PairSetup, Callable[[], bool]], AbstractContextManager[PairProtocol]]
LoadPair = Callable[[], PairProtocol]


@dataclass(frozen=True)
class RunConfig:
    """What holds for every answer.

    Attributes:
        n_parallel: Number of answers generated at once; None chooses by memory and cores.
        options: Whether steps are kept, whether failed rows are asked again.
    """

    n_parallel: int | None = None
    options: BatchOptions = field(default_factory=BatchOptions)


def run_tasks(
    entrants: Sequence[Entrant],
    tasks: Sequence[Task],
    folder: Folder,
    config: RunConfig,
    *,
    open_pair: OpenPair,
    should_stop: Callable[[], bool],
    on_progress: OnProgress,
) -> bool:
    """Answer what is left, pair by pair, benchmark by benchmark, method by method.

    Args:
        entrants: Who answers; an entrant's models are loaded when its first open row is met.
        tasks: What is asked; the questions are in the folder.
        folder: Where everything is kept.
        config: What holds for every answer.
        open_pair: Loads a pair.
        should_stop: Polled; rows that are not finished then are asked again by the next run.
        on_progress: Called when a cell begins, and after each row.

    Returns:
        Whether everything is finished.

    Raises:
        UsageError: What is kept there was made with other settings, models or questions.
        WriteError: The disk refuses; what was finished is kept.
    """
    counter = RowCounter(entrants, tasks, folder, on_progress)
    n_rows = max(len(task.items) for task in tasks)
    for entrant in entrants:
        with ExitStack() as stack:
            load = _loader(stack, entrant, config, n_rows, lambda setup: open_pair(setup, should_stop))
            run = _Run(entrant, folder, config, load, should_stop, counter)
            if not all(run.finish(task) for task in tasks):
                return False
    return True


def _loader(
    stack: ExitStack,
    entrant: Entrant,
    config: RunConfig,
    n_rows: int,
    open_pair: Callable[[PairSetup], AbstractContextManager[PairProtocol]],
) -> LoadPair:
    """Loads the entrant's models at its first call; at most `n_rows` are answered at once."""
    loaded: list[PairProtocol] = []

    def load() -> PairProtocol:
        if not loaded:
            setup = entrant.resolved.setup.with_files(entrant.paths)
            n_parallel = choose_n_parallel(setup, config.n_parallel, n_rows)
            loaded.append(stack.enter_context(open_pair(replace(setup, n_parallel=n_parallel))))
        return loaded[0]

    return load


@dataclass(frozen=True)
class _Run:
    """The run of one entrant."""

    entrant: Entrant
    folder: Folder
    config: RunConfig
    load: LoadPair
    should_stop: Callable[[], bool]
    counter: RowCounter

    def finish(self, task: Task) -> bool:
        """Every method on one benchmark, then its options; False if it was stopped."""
        for variant in self.entrant.variants:
            self.counter.begin(self.entrant, task, variant.name)
            self._answer(task, variant)
            if self.should_stop():
                return False
        return self._score_options(task)

    def _answer(self, task: Task, variant: Variant) -> None:
        """One cell: a batch of its own, which resumes where it was stopped."""
        entrant, options, benchmark = self.entrant, self.config.options, task.benchmark
        source = self.folder.items(benchmark.name)
        out = self.folder.make(self.folder.answers(entrant.pair, benchmark.name, variant.name))
        defaults = RequestDefaults(
            variant.blend(entrant.resolved.blend),
            variant.sampling,
            AnswerSettings(task.max_tokens, entrant.stop),
            benchmark.system,
        )
        scan = scan_rows(source, None, defaults, _refuse)
        roles = roles_of(variant.method, entrant.paths)
        models: dict[str, Any] = {role: entrant.models[role] for role in roles}
        settings = settings_facts(entrant.resolved.setup, defaults, steps=options.with_steps)
        identity = Identity({"sha256": scan.sha256, "size": scan.size}, models, settings)
        names = {"pair": entrant.pair, "benchmark": benchmark.name, "variant": variant.name}
        with Batch.open(scan, BatchPaths.of(source, out), options, identity, {"evaluation": names}) as batch:
            self.counter.count(batch.progress())
            if batch.progress().left:
                pair = self.load() if variant.seed is None else SeededRows(self.load())
                batch.answer(pair, self.should_stop, self.counter.count)

    def _score_options(self, task: Task) -> bool:
        """The log-likelihoods of a benchmark's options; False if it was stopped."""
        benchmark = task.benchmark
        for role in self.entrant.likelihood_roles if benchmark.likelihood else ():
            self.counter.begin(self.entrant, task, f"likelihood of the {role}")
            path = self.folder.make(self.folder.likelihood(self.entrant.pair, benchmark.name, role))
            if rows_kept(path) >= len(task.items):
                continue
            pair = self.load()
            if not score_options(pair, role, benchmark, task.items, path, should_stop=self.should_stop):
                return False
        return True


def _refuse(row: InvalidRow) -> None:
    raise UsageError(f"a question cannot be asked: {row.message}", "correct the data of the benchmark")
