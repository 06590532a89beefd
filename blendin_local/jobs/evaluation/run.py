"""The run: every method answers every benchmark's questions, pair by pair, as batches.

Here: `Lineup`, `Sheet`, `Course`, and `carry_out`, which loads the models of a lineup once, and only if a row is left.
Not here: how rows are answered and kept (`jobs.batch`), options read by log-likelihood (`likelihood`), scores (`report`).
Every method gets the same questions, the same token limit and the same stop strings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from blendin_local.core.methods import Role, roles_of
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.lanes import lanes_for
from blendin_local.jobs.batch.manifest import Identity, settings_facts
from blendin_local.jobs.batch.places import Places
from blendin_local.jobs.batch.rows import Fault, RowDefaults
from blendin_local.jobs.batch.run import Answers, Batch
from blendin_local.jobs.batch.scan import scan_rows
from blendin_local.jobs.batch.standing import BatchOptions, Standing
from blendin_local.jobs.evaluation.folder import Folder, errors_of
from blendin_local.jobs.evaluation.items import Benchmark, Item
from blendin_local.jobs.evaluation.likelihood import OptionReader, read_options
from blendin_local.jobs.evaluation.variants import Variant
from blendin_local.opening import Plan
from blendin_local.pair import MAX_LANES, PairSetup
from blendin_local.settings import AnswerSettings, SamplingSettings


@dataclass(frozen=True)
class Lineup:
    """Models that are loaded together, and what they run.

    Attributes:
        pair: Name of the pair in files and tables.
        plan: What the names meant.
        paths: The files, by role.
        models: Their facts (file, size, sha256), by role.
        variants: What they run.
        readings: Roles whose log-likelihoods of options are read.
        stop: Stop strings of every method: those of the base's template.
    """

    pair: str
    plan: Plan
    paths: Mapping[Role, Path]
    models: Mapping[str, Any]
    variants: tuple[Variant, ...]
    readings: tuple[Role, ...] = ()
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """A benchmark's questions as they are asked here."""

    benchmark: Benchmark
    items: tuple[Item, ...]
    max_tokens: int


@dataclass(frozen=True)
class Course:
    """What holds for every answer.

    Attributes:
        sampling: Greedy, unless the user wants otherwise.
        parallel: Rows at once; None chooses by memory and cores.
        options: Whether steps are kept, whether failed rows are asked again.
        top_logprobs: Candidates kept per step.
    """

    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    parallel: int | None = None
    options: BatchOptions = field(default_factory=BatchOptions)
    top_logprobs: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """How far an evaluation is.

    Attributes:
        cell: `PAIR, BENCHMARK, VARIANT` under way.
        number: Its number, from 1.
        cells: How many there are.
        standing: Of its rows; None while options are read.
        left: Rows left over all cells.
        seconds_left: At the pace so far; None before the first row.
    """

    cell: tuple[str, str, str]
    number: int
    cells: int
    standing: Standing | None
    left: int
    seconds_left: float | None


class Contestants(Answers, OptionReader, Protocol):
    """What an evaluation needs of a pair."""


OpenPair = Callable[[PairSetup, Callable[[], bool]], AbstractContextManager[Contestants]]
Listener = Callable[[Moment], None]


def carry_out(
    lineups: Sequence[Lineup],
    sheets: Sequence[Sheet],
    folder: Folder,
    course: Course,
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
    pace = _Pace(lineups, sheets, folder, listen)
    for lineup in lineups:
        with ExitStack() as stack:
            pair = _Loading(lineup, sheets, course, stack, open_pair, should_stop)
            for sheet in sheets:
                for variant in lineup.variants:
                    pace.begin(lineup, sheet, variant.name)
                    _answer(lineup, sheet, variant, folder, course, pair, should_stop, pace.note)
                    if should_stop():
                        return False
                if not _read(lineup, sheet, folder, pair, should_stop, pace):
                    return False
    return True


class _Loading:
    """A pair that is loaded when somebody asks it."""

    def __init__(
        self,
        lineup: Lineup,
        sheets: Sequence[Sheet],
        course: Course,
        stack: ExitStack,
        open_pair: OpenPair,
        should_stop: Callable[[], bool],
    ) -> None:
        self._lineup, self._course, self._stack = lineup, course, stack
        self._rows = max(len(sheet.items) for sheet in sheets)
        self._open, self._should_stop = open_pair, should_stop
        self._pair: Contestants | None = None

    def __call__(self) -> Contestants:
        if self._pair is None:
            setup = self._lineup.plan.setup(self._lineup.paths)
            lanes = self._course.parallel or lanes_for(setup.files(), self._rows)
            setup = replace(setup, n_lanes=min(lanes, MAX_LANES))
            self._pair = self._stack.enter_context(self._open(setup, self._should_stop))
        return self._pair


def _answer(
    lineup: Lineup,
    sheet: Sheet,
    variant: Variant,
    folder: Folder,
    course: Course,
    pair: _Loading,
    should_stop: Callable[[], bool],
    listen: Callable[[Standing], None],
) -> None:
    """One cell: a batch of its own, opened where it was left."""
    source = folder.items(sheet.benchmark.name)
    out = folder.make(folder.answers(lineup.pair, sheet.benchmark.name, variant.name))
    defaults = RowDefaults(
        variant.blend(lineup.plan.blend),
        course.sampling,
        AnswerSettings(sheet.max_tokens, lineup.stop, top_logprobs=course.top_logprobs),
        sheet.benchmark.system,
    )
    scan = scan_rows(source, None, defaults, _refuse)
    models: dict[str, Any] = {role: lineup.models[role] for role in roles_of(variant.method)}
    settings = settings_facts(lineup.plan, defaults, steps=course.options.with_steps)
    identity = Identity({"sha256": scan.sha256, "size": scan.size}, models, settings)
    facts = {"evaluation": {"pair": lineup.pair, "benchmark": sheet.benchmark.name, "variant": variant.name}}
    with Batch.open(scan, Places.of(source, out), course.options, identity, facts) as batch:
        listen(batch.standing())
        if batch.standing().left:
            batch.answer(pair(), should_stop, listen)


def _refuse(fault: Fault) -> None:
    raise UsageError(f"a question cannot be asked: {fault.message}", "this is a fault of the data")


def _read(
    lineup: Lineup,
    sheet: Sheet,
    folder: Folder,
    pair: _Loading,
    should_stop: Callable[[], bool],
    pace: _Pace,
) -> bool:
    """The log-likelihoods of a benchmark's options."""
    benchmark = sheet.benchmark
    for role in lineup.readings if benchmark.likelihood else ():
        pace.begin(lineup, sheet, f"likelihood of the {role}")
        path = folder.make(folder.likelihood(lineup.pair, benchmark.name, role))
        if rows_kept(path) >= len(sheet.items):
            continue
        if not read_options(pair(), role, benchmark, sheet.items, path, should_stop):
            return False
    return True


def rows_kept(path: Path) -> int:
    """Lines of a file that grows; 0 where it is not there."""
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


class _Pace:
    """What is said about how far it is: rows left over all cells, at the pace of this run."""

    def __init__(
        self, lineups: Sequence[Lineup], sheets: Sequence[Sheet], folder: Folder, listen: Listener
    ) -> None:
        self._listen = listen
        self._left = {
            (lineup.pair, sheet.benchmark.name, variant.name): _left(lineup, sheet, variant, folder)
            for lineup in lineups
            for sheet in sheets
            for variant in lineup.variants
        }
        self._readings = sum(len(lineup.readings) for lineup in lineups) * sum(
            bool(sheet.benchmark.likelihood) for sheet in sheets
        )
        self._began, self._at_first, self._number = monotonic(), sum(self._left.values()), 0
        self._cell = ("", "", "")

    def begin(self, lineup: Lineup, sheet: Sheet, what: str) -> None:
        """A cell, or a reading of options, begins."""
        self._cell = (lineup.pair, sheet.benchmark.name, what)
        self._number += 1
        self._tell(None)

    def note(self, standing: Standing) -> None:
        """A row was finished."""
        self._left[self._cell] = standing.left
        self._tell(standing)

    def _tell(self, standing: Standing | None) -> None:
        left = sum(self._left.values())
        done = self._at_first - left
        seconds = (monotonic() - self._began) * left / done if done > 0 else None
        cells = len(self._left) + self._readings
        self._listen(Moment(self._cell, self._number, cells, standing, left, seconds))


def _left(lineup: Lineup, sheet: Sheet, variant: Variant, folder: Folder) -> int:
    path = folder.answers(lineup.pair, sheet.benchmark.name, variant.name)
    return max(0, len(sheet.items) - rows_kept(path) - rows_kept(errors_of(path)))
