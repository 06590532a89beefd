"""The run: every method answers every benchmark's questions, pair by pair, as batches.

Here: `run_tasks`, which loads the models of an entrant once, and only where a row is left.
Not here: how rows are answered and kept (`jobs.batch`), options read by log-likelihood (`likelihood`), scores
(`report`). Every method gets the same questions, the same token limit and the same stop strings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol

from blendin_local.core.methods import roles_of
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.manifest import Identity, settings_facts
from blendin_local.jobs.batch.parallel import parallel_for
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.rows import InvalidRow, RowDefaults
from blendin_local.jobs.batch.run import Answers, Batch
from blendin_local.jobs.batch.scan import scan_rows
from blendin_local.jobs.evaluation.folder import Folder
from blendin_local.jobs.evaluation.run.likelihood import OptionScorer, score_options
from blendin_local.jobs.evaluation.run.progress import EvalCounter, Listener, rows_kept
from blendin_local.jobs.evaluation.spec.tasks import Entrant, RunConfig, Task
from blendin_local.jobs.evaluation.spec.variants import Variant
from blendin_local.pair.pair import MAX_PARALLEL, PairSetup
from blendin_local.settings import AnswerSettings


class PairProtocol(Answers, OptionScorer, Protocol):
    """What an evaluation needs of a pair."""


OpenPair = Callable[[PairSetup, Callable[[], bool]], AbstractContextManager[PairProtocol]]
LoadPair = Callable[[], PairProtocol]


def run_tasks(
    entrants: Sequence[Entrant],
    tasks: Sequence[Task],
    folder: Folder,
    config: RunConfig,
    *,
    open_pair: OpenPair,
    should_stop: Callable[[], bool],
    listen: Listener,
) -> bool:
    """Answer what is left, pair by pair, benchmark by benchmark, method by method.

    Args:
        entrants: Who answers; an entrant's models are loaded when its first open row is met.
        tasks: What is asked; the questions lie in the folder.
        folder: Where everything is kept.
        config: What holds for every answer.
        open_pair: Loads a pair.
        should_stop: Polled; rows that are not finished then are asked again by the next run.
        listen: Is told after each row how far it is.

    Returns:
        Whether everything is finished.

    Raises:
        UsageError: What is kept there was made with other settings, models or questions.
        WriteError: The disk refuses; what was finished is kept.
    """
    counter = EvalCounter(entrants, tasks, folder, listen)
    for entrant in entrants:
        with ExitStack() as stack:
            setup = _Setup(entrant, config, max(len(task.items) for task in tasks))
            run = _Run(
                entrant, folder, config, setup.loader(stack, open_pair, should_stop), should_stop, counter
            )
            for task in tasks:
                if not run.finish(task):
                    return False
    return True


@dataclass(frozen=True)
class _Setup:
    """How an entrant's models are loaded: once, when somebody asks them first."""

    entrant: Entrant
    config: RunConfig
    most_rows: int

    def loader(self, stack: ExitStack, open_pair: OpenPair, should_stop: Callable[[], bool]) -> LoadPair:
        loaded: list[PairProtocol] = []

        def load() -> PairProtocol:
            if not loaded:
                loaded.append(stack.enter_context(open_pair(self._setup(), should_stop)))
            return loaded[0]

        return load

    def _setup(self) -> PairSetup:
        setup = self.entrant.resolved.setup.with_files(self.entrant.paths)
        parallel = self.config.parallel or parallel_for(setup.files(), self.most_rows)
        return replace(setup, n_parallel=min(parallel, MAX_PARALLEL))


@dataclass(frozen=True)
class _Run:
    """One entrant at work."""

    entrant: Entrant
    folder: Folder
    config: RunConfig
    load: LoadPair
    should_stop: Callable[[], bool]
    counter: EvalCounter

    def finish(self, task: Task) -> bool:
        """Every method on one benchmark, then the readings of its options; False where it was stopped."""
        for variant in self.entrant.variants:
            self.counter.begin(self.entrant, task, variant.name)
            self._answer(task, variant)
            if self.should_stop():
                return False
        return self._read(task)

    def _answer(self, task: Task, variant: Variant) -> None:
        """One cell: a batch of its own, opened where it was left."""
        entrant, options, benchmark = self.entrant, self.config.options, task.benchmark
        source = self.folder.items(benchmark.name)
        out = self.folder.make(self.folder.answers(entrant.pair, benchmark.name, variant.name))
        defaults = RowDefaults(
            variant.blend(entrant.resolved.blend),
            self.config.sampling,
            AnswerSettings(task.max_tokens, entrant.stop, top_logprobs=self.config.top_logprobs),
            benchmark.system,
        )
        scan = scan_rows(source, None, defaults, _refuse)
        models: dict[str, Any] = {role: entrant.models[role] for role in roles_of(variant.method)}
        settings = settings_facts(entrant.resolved.setup, defaults, steps=options.with_steps)
        identity = Identity({"sha256": scan.sha256, "size": scan.size}, models, settings)
        names = {"pair": entrant.pair, "benchmark": benchmark.name, "variant": variant.name}
        with Batch.open(scan, BatchPaths.of(source, out), options, identity, {"evaluation": names}) as batch:
            self.counter.note(batch.progress())
            if batch.progress().left:
                batch.answer(self.load(), self.should_stop, self.counter.note)

    def _read(self, task: Task) -> bool:
        """The log-likelihoods of a benchmark's options; False where it was stopped."""
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


def _refuse(fault: InvalidRow) -> None:
    raise UsageError(f"a question cannot be asked: {fault.message}", "this is a fault of the data")
