"""Settings of a pair, chosen on a validation set: the search as a function.

Here: `TuneSpec` and `run_tune`, from a spec to the report.
Not here: which settings are tried (`search`), the trials (`trials`), the report (`report`), the command line
(`cli.tune`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from blendin_local.core.methods import STEERED, Role, roles_of
from blendin_local.engine.control_vector import fitting_control_vector
from blendin_local.engine.gguf.header import read_header
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.jsonl_file import replace_file
from blendin_local.jobs.batch.manifest import first_run_date, model_facts, settings_facts
from blendin_local.jobs.batch.progress import BatchProgress
from blendin_local.jobs.preparation import (
    choose_n_parallel,
    open_for_rows,
    refuse_exact_prompts,
    settle,
    suppress_stop,
    versions,
)
from blendin_local.jobs.probe.prompts import purpose_benchmark
from blendin_local.jobs.request_values import RequestDefaults
from blendin_local.jobs.scoring.items import Benchmark, Item, subset
from blendin_local.jobs.tune.report import TuneReport, judge
from blendin_local.jobs.tune.search import (
    DEFAULT_THRESHOLD,
    Search,
    appendix_a4_search,
    default_of,
    steering_search,
    target_rate_search,
)
from blendin_local.jobs.tune.setting import TrialSetting
from blendin_local.jobs.tune.trials import Provenance, Trial, TrialRunner, run_search
from blendin_local.models.store import Store
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import NO_INTERACTION, Interaction, PairSpec, ResolvedPair, locate_files
from blendin_local.pair.roles import check_roles
from blendin_local.pair.setup import PairSetup
from blendin_local.settings import CALIBRATED_ALPHA, ScaledFile, require_between, scaled_file

REPORT = "report.json"
METHODS = ("blendin", STEERED)
NOT_FITTED = (
    "alpha calibrated was left out: no temperatures are fitted for this pair (blendin check fits them)"
)


@dataclass(frozen=True)
class TuneSpec:
    """What to tune, and on what.

    Attributes:
        data: A benchmark by name, or a file of JSON Lines with `prompt` and `answer`; None with a purpose.
        out: A directory for the trials. If it exists, the search resumes.
        pair: The pair; its method, threshold and alpha are those of each trial, or with method `steer` the
            scale and the layers of its base's control vector.
        limit: Most questions; None for all.
        target_rate: Also find a threshold at which the guide is asked at this share of the steps.
        n_parallel: How many questions are answered at once; None chooses by memory and cores.
        purpose: `safety` or `instructions`: the program's own prompts in the place of `data`.
        method: What is tuned: `blendin`, its threshold and alpha, or `steer`, its scale and layers.
    """

    data: str | Path | None
    out: str | Path
    pair: PairSpec = field(default_factory=PairSpec)
    limit: int | None = None
    target_rate: float | None = None
    n_parallel: int | None = None
    purpose: str | None = None
    method: str = "blendin"


@dataclass(frozen=True)
class TuneProgress:
    """How far a search is.

    Attributes:
        trial: The number of the trial, from 1; how many there will be is not known before.
        setting: What it sets.
        batch: How far its answers are.
    """

    trial: int
    setting: TrialSetting
    batch: BatchProgress


def run_tune(
    spec: TuneSpec,
    *,
    on_progress: Callable[[TuneProgress], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    interaction: Interaction = NO_INTERACTION,
) -> TuneReport | None:
    """Choose threshold and alpha of a pair, or scale and layers; run again with the same spec, it resumes.

    Args:
        spec: What to tune.
        on_progress: Called when a trial begins and after each of its answers.
        on_note: Called with each notice for the user, a sentence.
        should_stop: Polled. A search that is stopped returns a report with `finished` False.
        interaction: Callbacks to the user while models are resolved and downloaded.

    Returns:
        The report, which is also in `report.json` in the directory; None if the search was stopped
        before its first trial was finished.

    Raises:
        UsageError: The questions, the settings or the directory are not right.
        PairError: There is no control vector with a gate for method `steer`, or it does not fit the base.
        ModelNotFoundError: A model is not here and was not to be downloaded.
        LoadError: A model cannot be loaded.
    """
    refuse_exact_prompts(spec.pair, "question")
    _require_method(spec)
    benchmark, items = _questions(spec)
    out = Path(spec.out)
    resolved = settle(_pair_spec(spec), interaction, on_note).dated(_begun_on(out))
    if spec.method == STEERED and (vector := _vector(resolved)) and vector != ScaledFile(vector.path):
        named = vector._replace(path=Path(vector.path.name))
        on_note(f"note: the search tries its own scales and layers, not those in {named}")
    paths = locate_files(resolved, roles_of(spec.method, resolved.references), interaction)
    for notice in check_roles(resolved, paths):
        on_note(f"note: {notice}")
    runner = _runner(spec, resolved, benchmark, items, paths)
    setup = resolved.setup.with_files(paths)
    setup = replace(setup, n_parallel=choose_n_parallel(setup, spec.n_parallel, len(items)))
    report = _search(spec, replace(resolved, setup=setup), runner, on_progress, should_stop)
    if report is not None:
        text = json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n"
        replace_file(out / REPORT, [text.encode()])
    return report


def _require_method(spec: TuneSpec) -> None:
    """Raise `UsageError` for a method that cannot be tuned, or a target rate that it cannot have."""
    if spec.method not in METHODS:
        raise UsageError(f"there is nothing to tune in {spec.method!r}", f"choose {' or '.join(METHODS)}")
    if spec.target_rate is None:
        return
    if spec.method == STEERED:
        raise UsageError("--target-rate is for method blendin: steer asks no guide", "leave it out")
    require_between("target-rate", spec.target_rate, 0, 1)


def _pair_spec(spec: TuneSpec) -> PairSpec:
    """The pair with what is tried first: the paper's defaults, or its own settings for method `steer`."""
    paper = {"threshold": DEFAULT_THRESHOLD, "alpha": None} if spec.method == "blendin" else {}
    return replace(spec.pair, blend={**spec.pair.blend, "method": spec.method, **paper})


def _begun_on(folder: Path) -> date | None:
    """The date that templates were given in the trials that are on disk."""
    return next(filter(None, map(first_run_date, sorted(folder.glob("*.manifest.json")))), None)


def _questions(spec: TuneSpec) -> tuple[Benchmark, list[Item]]:
    if spec.data is not None and spec.purpose is not None:
        raise UsageError("--data and --for name two sets of questions", "use one of them")
    if spec.data is None and spec.purpose is None:
        raise UsageError(
            "no questions are named",
            "give your own with --data, or use the program's with --for safety or --for instructions",
        )
    benchmark = _named(spec.data) if spec.data is not None else purpose_benchmark(spec.purpose or "")
    items = benchmark.load()
    items = items if spec.limit is None else subset(items, spec.limit)
    if len(items) < 2:
        n = "1 question" if items else "0 questions"
        raise UsageError(f"{spec.data or spec.purpose} has {n}", "give at least two")
    return benchmark, items


def _named(data: str | Path) -> Benchmark:
    """A benchmark, or a user's file; both need the extra `eval`, which is told on import."""
    from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS  # noqa: PLC0415
    from blendin_local.jobs.tune.user_dataset import user_dataset  # noqa: PLC0415

    if str(data) in BENCHMARKS:
        return BENCHMARKS[str(data)]
    try:
        return user_dataset(Path(data))
    except UsageError as error:
        raise UsageError(error.message, f"{error.hint} ({', '.join(BENCHMARKS)})") from None


def _runner(
    spec: TuneSpec,
    resolved: ResolvedPair,
    benchmark: Benchmark,
    items: Sequence[Item],
    paths: dict[Role, Path],
) -> TrialRunner:
    answer = replace(resolved.answer, max_tokens=spec.pair.answer.get("max_tokens", benchmark.max_tokens))
    system = (benchmark.system or resolved.system) if spec.pair.system is None else spec.pair.system
    provenance = Provenance(
        models=model_facts(paths, Store.default()),
        settings=lambda setting, own: settings_facts(
            setting.applied_to(resolved.setup), own, data=benchmark.name
        ),
        facts={"versions": versions()},
    )
    defaults = RequestDefaults(resolved.blend, resolved.sampling, answer, system)
    return TrialRunner(Path(spec.out), benchmark, items, defaults, provenance)


def _search(
    spec: TuneSpec,
    resolved: ResolvedPair,
    runner: TrialRunner,
    on_progress: Callable[[TuneProgress], None],
    should_stop: Callable[[], bool],
) -> TuneReport | None:
    """Run the trials that are left, on a pair with its files; None if not even the first was finished."""
    first, notes = _protocol(spec, resolved)
    trials: dict[TrialSetting, Trial] = {}
    finished = False

    def searches() -> Iterator[Search]:
        yield first
        if spec.target_rate is not None:
            yield target_rate_search(judge(runner.benchmark, trials).chosen.setting, spec.target_rate)

    with suppress_stop(should_stop), _opening(resolved.setup, should_stop) as pair_with:

        def run(setting: TrialSetting) -> Trial | None:
            number = len(trials) + 1
            return runner.run(
                setting,
                lambda: pair_with(setting),
                should_stop,
                lambda batch: on_progress(TuneProgress(number, setting, batch)),
            )

        finished = run_search(searches(), run, trials)
    if not trials:
        return None
    report = judge(runner.benchmark, trials, spec.target_rate, finished=finished, notes=notes)
    return replace(
        report,
        references=resolved.named,
        base_template=_base_template(resolved),
        pair_name=resolved.pair_name,
        purpose=spec.purpose or "",
    )


def _protocol(spec: TuneSpec, resolved: ResolvedPair) -> tuple[Search, tuple[str, ...]]:
    """The search that a method is tuned with, and what it leaves out, in sentences.

    Raises:
        PairError: The control vector does not fit the base.
    """
    if spec.method == STEERED:
        return _steering_search(resolved), ()
    default = TrialSetting(default_of(resolved.blend), _vector(resolved))
    calibrated = [] if "guide2" in resolved.references else _calibrated(default)
    return appendix_a4_search(default, calibrated), () if calibrated else (NOT_FITTED,)


def _steering_search(resolved: ResolvedPair) -> Search:
    """The search with the layers that the base's control vector has directions for."""
    vector, base = _vector(resolved), resolved.setup.base
    assert base is not None
    assert vector is not None, "without one the pair has no method steer"
    whole = fitting_control_vector(str(ScaledFile(vector.path)), read_header(base))
    assert whole is not None
    unsteered = TrialSetting(replace(resolved.blend, method="base"))
    return steering_search(unsteered, vector.path, list(whole.directions))


def _base_template(resolved: ResolvedPair) -> str:
    """The name of the base's template where the spec or the pair gives one."""
    entry = resolved.registry.pairs.get(resolved.pair_name)
    return resolved.spec.base_template or (entry and entry.base_template) or ""


def _vector(resolved: ResolvedPair) -> ScaledFile | None:
    """The base's own control vector."""
    named = resolved.setup.base_settings.control_vector
    return None if named is None else scaled_file(named)


@contextmanager
def _opening(setup: PairSetup, should_stop: Callable[[], bool]) -> Iterator[Callable[[TrialSetting], Pair]]:
    """A function that opens the pair for a trial; anew only where the base's control vector is another one.

    A control vector belongs to a context in llama.cpp, and is set before the context reads anything.
    """
    with ExitStack() as stack:
        opened: dict[ScaledFile | None, Pair] = {}

        def pair_with(setting: TrialSetting) -> Pair:
            if setting.vector not in opened:
                stack.close()
                opened.clear()
                pair = open_for_rows(setting.applied_to(setup), should_stop)
                opened[setting.vector] = stack.enter_context(pair)
            return opened[setting.vector]

        yield pair_with


def _calibrated(default: TrialSetting) -> list[TrialSetting]:
    """The defaults with alpha `calibrated`, where the pair's temperatures are known."""
    if default.blend.base_temperature is None or default.blend.guide_temperature is None:
        return []
    return [default.with_blend(alpha=CALIBRATED_ALPHA)]
