"""An evaluation as a function: methods, pairs and benchmarks side by side.

Here: `run_eval`, which answers what is left, has it judged, and scores it.
Not here: what is asked for (`spec`), how it is answered and kept (`run`), how it is scored (`score`), the
report as HTML, Markdown and JSON (`reports.evaluation.files.write_reports`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.progress import BatchOptions
from blendin_local.jobs.evaluation.folder import Folder, read_items
from blendin_local.jobs.evaluation.run.answers import read_answers
from blendin_local.jobs.evaluation.run.judge import Judge, judge_answers
from blendin_local.jobs.evaluation.run.progress import OnProgress
from blendin_local.jobs.evaluation.run.rubrics import RUBRICS
from blendin_local.jobs.evaluation.run.run import RunConfig, run_tasks
from blendin_local.jobs.evaluation.score.checks import facts_of, read_check
from blendin_local.jobs.evaluation.score.report import Report, build_report
from blendin_local.jobs.evaluation.spec.entrants import make_entrants
from blendin_local.jobs.evaluation.spec.eval_spec import EvalSpec
from blendin_local.jobs.evaluation.spec.plan import CHECK, EvalPlan, keep_plan, read_plan
from blendin_local.jobs.evaluation.spec.planning import make_plan
from blendin_local.jobs.evaluation.spec.tasks import make_tasks
from blendin_local.jobs.evaluation.spec.variants import ALIGNED
from blendin_local.jobs.preparation import open_for_rows, suppress_stop
from blendin_local.pair.resolve import NO_INTERACTION, Interaction

OnNote = Callable[[str], None]


@dataclass(frozen=True)
class EvalResult:
    """What came of an evaluation.

    Attributes:
        report: Scores of everything that is answered so far, those of earlier runs included.
        stopped: Whether `should_stop` ended it early. What was finished is on disk, and the same spec
            resumes.
    """

    report: Report
    stopped: bool = False


def run_eval(
    spec: EvalSpec,
    *,
    on_progress: OnProgress = lambda _: None,
    on_note: OnNote = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    interaction: Interaction = NO_INTERACTION,
) -> EvalResult:
    """Answer what is not answered yet, have it judged where a judge was named, and score all of it.

    Questions, answers and the plan are kept in `spec.out`. The report is returned and not written: pass it to
    `blendin_local.reports.evaluation.files.write_reports` for HTML, Markdown, a picture and JSON.

    Args:
        spec: What is evaluated.
        on_progress: Called when a cell begins, and after each row.
        on_note: Called with each notice for the user, a sentence.
        should_stop: Polled. Rows that are not finished then are asked again by the next run.
        interaction: Callbacks to the user while models are resolved and downloaded.

    Raises:
        UsageError: A name or a setting is wrong, or the folder was started with others.
        ModelNotFoundError: A model is not here and was not to be downloaded.
        LoadError: A model cannot be loaded.
        PairError: A guide cannot be prompted.
        WriteError: The disk refuses; what was finished is kept.
    """
    folder, judge = Folder(Path(spec.out)), _judge(spec)
    finished = True
    if spec.score_only:
        plan = _kept_plan(folder, judge)
    else:
        plan, finished = _answer(
            spec,
            folder,
            on_progress=on_progress,
            on_note=on_note,
            should_stop=should_stop,
            interaction=interaction,
        )
    plan = _keep_checks(folder, plan, spec.checks)
    if judge is not None and finished:
        finished = _have_judged(judge, folder, plan, on_note, should_stop)
    return EvalResult(build_report(folder), stopped=not finished)


def _judge(spec: EvalSpec) -> Judge | None:
    if spec.judge_url is not None:
        return Judge(spec.judge_url, spec.judge_model or "")
    if spec.judge_model is not None:
        raise UsageError("--judge-model names the model of a judge", "give its address with --judge")
    return None


def _kept_plan(folder: Folder, judge: Judge | None) -> EvalPlan:
    plan = read_plan(folder)
    if plan is None:
        raise UsageError(f"{folder.root} holds no evaluation", "start one without --score-only")
    if judge is None:
        return plan
    return keep_plan(folder, replace(plan, protocol={**plan.protocol, "judge": judge.model}))


def _answer(
    spec: EvalSpec,
    folder: Folder,
    *,
    on_progress: OnProgress,
    on_note: OnNote,
    should_stop: Callable[[], bool],
    interaction: Interaction,
) -> tuple[EvalPlan, bool]:
    """Everything that needs a model; also whether it was finished."""
    tasks = make_tasks(spec)
    entrants = make_entrants(spec, interaction, on_note)
    plan = keep_plan(folder, make_plan(spec, tasks, entrants, folder))
    options = BatchOptions(with_steps=spec.with_steps, retry_errors=spec.retry_errors)
    finished = False
    with suppress_stop(should_stop):
        finished = run_tasks(
            entrants,
            tasks,
            folder,
            RunConfig(spec.n_parallel, options),
            open_pair=open_for_rows,
            should_stop=should_stop,
            on_progress=on_progress,
        )
    return plan, finished


def _keep_checks(folder: Folder, plan: EvalPlan, files: Sequence[Path]) -> EvalPlan:
    """The plan with what `blendin check` measured of its pairs."""
    checks = [read_check(path) for path in files]
    found = {}
    for pair, facts in plan.pairs.items():
        models = {role: model["file"] for role, model in facts["models"].items() if role != ALIGNED}
        if (of_pair := facts_of(checks, pair, models)) is not None:
            found[pair] = {CHECK: of_pair}
    if checks and not found:
        raise UsageError(
            "no check belongs to a pair of this evaluation", f"its pairs are {', '.join(plan.pairs)}"
        )
    return keep_plan(folder, replace(plan, pairs=found)) if found else plan


def _have_judged(
    judge: Judge, folder: Folder, plan: EvalPlan, on_note: OnNote, should_stop: Callable[[], bool]
) -> bool:
    """A verdict on every answer that a judge is asked about; False if it was stopped."""
    cells = [cell for cell in plan.cells if cell[1] in RUBRICS]
    for number, cell in enumerate(cells, 1):
        on_note(f"judging {' · '.join(cell)} ({number} of {len(cells)})")
        kept = read_answers(folder.answers(*cell))
        answers = {key: answer for key, answer in kept.items() if not answer.failed}
        items, verdicts = read_items(folder.items(cell[1])), folder.judged(*cell)
        if not judge_answers(judge, RUBRICS[cell[1]], items, answers, verdicts, should_stop=should_stop):
            return False
    return True
