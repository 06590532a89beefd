"""The run: every method answers every benchmark's questions, pair by pair, as batches.

Here: `carry_out`, which loads the models of a lineup once, and only where a row is left.
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
from blendin_local.jobs.batch.batch import Answers, Batch
from blendin_local.jobs.batch.manifest import Identity, settings_facts
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.rows import InvalidRow, RowDefaults
from blendin_local.jobs.batch.scan import scan_rows
from blendin_local.jobs.evaluation.run.folder import Folder
from blendin_local.jobs.evaluation.run.likelihood import OptionReader, read_options
from blendin_local.jobs.evaluation.run.progress import EvalProgress, Listener, rows_kept
from blendin_local.jobs.evaluation.spec.tasks import Entrant, RunConfig, Task
from blendin_local.jobs.evaluation.spec.variants import Variant
from blendin_local.jobs.preparation import n_parallel_for
from blendin_local.pair.pair import MAX_PARALLEL, PairSetup
from blendin_local.settings import AnswerSettings


class PairProtocol(Answers, OptionReader, Protocol):
    """What an evaluation needs of a pair."""


OpenPair = Callable[[PairSetup, Callable[[], bool]], AbstractContextManager[PairProtocol]]
LoadPair = Callable[[], PairProtocol]


def carry_out(
    lineups: Sequence[Entrant],
    sheets: Sequence[Task],
    folder: Folder,
    course: RunConfig,
    *,
    open_pair: OpenPair,
    should_stop: Callable[[], bool],
    listen: Listener,
) -> bool:
    """Answer what is left, pair by pair, benchmark by benchmark, method by method.

    Args:
        lineups: Who answers; a lineup's models are loaded when its first open row is met.
        sheets: What is asked; the questions lie in the folder.
        folder: Where everything is kept.
        course: What holds for every answer.
        open_pair: Loads a pair.
        should_stop: Polled; rows that are not finished then are asked again by the next run.
        listen: Is told after each row how far it is.

    Returns:
        Whether everything is finished.

    Raises:
        UsageError: What is kept there was made with other settings, models or questions.
        WriteError: The disk refuses; what was finished is kept.
    """
    pace = EvalProgress(lineups, sheets, folder, listen)
    for lineup in lineups:
        with ExitStack() as stack:
            setup = _Setup(lineup, course, max(len(sheet.items) for sheet in sheets))
            run = _Run(lineup, folder, course, setup.loader(stack, open_pair, should_stop), should_stop, pace)
            for sheet in sheets:
                if not run.finish(sheet):
                    return False
    return True


@dataclass(frozen=True)
class _Setup:
    """How a lineup's models are loaded: once, when somebody asks them first."""

    lineup: Entrant
    course: RunConfig
    most_rows: int

    def loader(self, stack: ExitStack, open_pair: OpenPair, should_stop: Callable[[], bool]) -> LoadPair:
        loaded: list[PairProtocol] = []

        def load() -> PairProtocol:
            if not loaded:
                loaded.append(stack.enter_context(open_pair(self._setup(), should_stop)))
            return loaded[0]

        return load

    def _setup(self) -> PairSetup:
        setup = self.lineup.plan.setup.with_files(self.lineup.paths)
        parallel = self.course.parallel or n_parallel_for(setup.files(), self.most_rows)
        return replace(setup, n_parallel=min(parallel, MAX_PARALLEL))


@dataclass(frozen=True)
class _Run:
    """One lineup at work."""

    lineup: Entrant
    folder: Folder
    course: RunConfig
    load: LoadPair
    should_stop: Callable[[], bool]
    pace: EvalProgress

    def finish(self, sheet: Task) -> bool:
        """Every method on one benchmark, then the readings of its options; False where it was stopped."""
        for variant in self.lineup.variants:
            self.pace.begin(self.lineup, sheet, variant.name)
            self._answer(sheet, variant)
            if self.should_stop():
                return False
        return self._read(sheet)

    def _answer(self, sheet: Task, variant: Variant) -> None:
        """One cell: a batch of its own, opened where it was left."""
        lineup, options, benchmark = self.lineup, self.course.options, sheet.benchmark
        source = self.folder.items(benchmark.name)
        out = self.folder.make(self.folder.answers(lineup.pair, benchmark.name, variant.name))
        defaults = RowDefaults(
            variant.blend(lineup.plan.blend),
            self.course.sampling,
            AnswerSettings(sheet.max_tokens, lineup.stop, top_logprobs=self.course.top_logprobs),
            benchmark.system,
        )
        scan = scan_rows(source, None, defaults, _refuse)
        models: dict[str, Any] = {role: lineup.models[role] for role in roles_of(variant.method)}
        settings = settings_facts(lineup.plan.setup, defaults, steps=options.with_steps)
        identity = Identity({"sha256": scan.sha256, "size": scan.size}, models, settings)
        names = {"pair": lineup.pair, "benchmark": benchmark.name, "variant": variant.name}
        with Batch.open(scan, BatchPaths.of(source, out), options, identity, {"evaluation": names}) as batch:
            self.pace.note(batch.progress())
            if batch.progress().left:
                batch.answer(self.load(), self.should_stop, self.pace.note)

    def _read(self, sheet: Task) -> bool:
        """The log-likelihoods of a benchmark's options; False where it was stopped."""
        benchmark = sheet.benchmark
        for role in self.lineup.readings if benchmark.likelihood else ():
            self.pace.begin(self.lineup, sheet, f"likelihood of the {role}")
            path = self.folder.make(self.folder.likelihood(self.lineup.pair, benchmark.name, role))
            if rows_kept(path) >= len(sheet.items):
                continue
            pair = self.load()
            if not read_options(pair, role, benchmark, sheet.items, path, should_stop=self.should_stop):
                return False
        return True


def _refuse(fault: InvalidRow) -> None:
    raise UsageError(f"a question cannot be asked: {fault.message}", "this is a fault of the data")
