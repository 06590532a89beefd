"""Is this pair worth using? The check as a function: files, answers, confidence, a verdict.

Here: `CheckSpec` and `run_check`, from a spec to the report.
Not here: the measurements (`measure`), the report (`report`), the command line (`cli.check`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.rows import InvalidRow, Row
from blendin_local.jobs.batch.scan import scan_rows
from blendin_local.jobs.check.built_in_texts import built_in_prompts, reference_passages
from blendin_local.jobs.check.description import ROLES
from blendin_local.jobs.check.measure import OnProgress, ResolvedCheck, describe_files, measure
from blendin_local.jobs.check.report import CheckReport
from blendin_local.jobs.preparation import (
    choose_n_parallel,
    refuse_exact_prompts,
    refuse_several_guides,
    settle,
    suppress_stop,
)
from blendin_local.jobs.probe.asking import ProbePlan, plan_probe
from blendin_local.jobs.request_values import RequestDefaults
from blendin_local.pair.pair import Pair, Request
from blendin_local.pair.resolve import NO_INTERACTION, Interaction, PairSpec, ResolvedPair, locate_files
from blendin_local.pair.roles import check_roles, same_file_notice
from blendin_local.settings import CheckSettings


@dataclass(frozen=True)
class CheckSpec:
    """What to check, and how thoroughly.

    Attributes:
        pair: The pair and its settings; the prompts are answered with them.
        prompts: A file of prompts in any form that a batch reads; None for those that ship with the program.
        prompt_field: The field or column of the prompt; None finds it.
        skip_invalid: Whether invalid rows are left out instead of refused.
        limit: Maximum number of prompts to answer; None takes `settings.n_prompts`.
        files_only: Whether to describe the files only; no weights are loaded.
        n_parallel: How many prompts are answered at once; None chooses by memory and cores.
        probe: Whether base, guide and method are asked the built-in prompts that can be scored.
        settings: Where verdicts begin.
        seed: Of the resampling behind the intervals.
    """

    pair: PairSpec = field(default_factory=PairSpec)
    prompts: str | Path | None = None
    prompt_field: str | None = None
    skip_invalid: bool = False
    limit: int | None = None
    files_only: bool = False
    n_parallel: int | None = None
    probe: bool = True
    settings: CheckSettings = field(default_factory=CheckSettings)
    seed: int = 0


def run_check(
    spec: CheckSpec,
    *,
    on_progress: OnProgress = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    interaction: Interaction = NO_INTERACTION,
) -> CheckReport:
    """Check a pair.

    Args:
        spec: What to check.
        on_progress: Called after each answer and each passage of the reference text.
        on_note: Called with each notice for the user, a sentence, such as each invalid row.
        should_stop: Polled. What was measured until then is returned with `complete` False and no verdict.
        interaction: Callbacks to the user while models are resolved and downloaded.

    Raises:
        UsageError: The pair, the settings or the prompts are not right.
        ModelNotFoundError: A model is not here and was not to be downloaded.
        LoadError: A model cannot be loaded.
        KeyboardInterrupt: It was stopped before the files were read, so there is nothing to return.
    """
    refuse_exact_prompts(spec.pair, "question")
    resolved = settle(replace(spec.pair, every_model=True), interaction, on_note)
    refuse_several_guides(resolved, "a check")
    missing = [role for role in ROLES if role not in resolved.references]
    if missing:
        raise UsageError(f"a check needs a {missing[0]}", f"name one with --{missing[0]}")
    requests, probe = _requests(spec, resolved, on_note), _probe(spec, resolved)
    n_rows = max(map(len, [requests, *(probe.requests.values() if probe else ())]))
    paths = locate_files(resolved, ROLES, interaction)
    check_roles(resolved, paths, ["base"])  # a guide that cannot be prompted is a verdict
    if notice := same_file_notice(resolved, paths):
        on_note(f"note: {notice}")
    setup = resolved.setup.with_files(paths)
    check = ResolvedCheck(
        setup=replace(setup, n_parallel=choose_n_parallel(setup, spec.n_parallel, n_rows)),
        references={role: resolved.references[role] for role in ROLES},
        pair_name=resolved.pair_name,
        requests=requests,
        passages=reference_passages(),
        threshold=resolved.blend.threshold,
        limits=spec.settings,
        seed=spec.seed,
        probe=probe,
    )
    report = describe_files(check, should_stop)
    if spec.files_only or not report.can_be_prompted:
        return report
    with suppress_stop(should_stop), Pair(check.setup, should_stop) as pair:
        return measure(check, report, pair, should_stop, on_progress)
    return replace(report, verdicts=(), complete=False)


def _probe(spec: CheckSpec, resolved: ResolvedPair) -> ProbePlan | None:
    """The probe with the settings of the pair; a system line that the user did not give is the purpose's."""
    if not spec.probe:
        return None
    system = spec.pair.system if spec.pair.system is not None else resolved.system or None
    return plan_probe(resolved.blend, resolved.sampling, resolved.answer, system)


def _requests(spec: CheckSpec, resolved: ResolvedPair, on_note: Callable[[str], None]) -> list[Request]:
    """The prompts, all answered with the settings of the pair; each invalid row is noted."""
    source = built_in_prompts() if spec.prompts is None else Path(spec.prompts)
    answer = replace(
        resolved.answer,
        max_tokens=spec.pair.answer.get("max_tokens", spec.settings.max_tokens),
        top_logprobs=resolved.blend.top_k,
    )
    defaults = RequestDefaults(resolved.blend, resolved.sampling, answer, resolved.system)

    def on_invalid(row: InvalidRow) -> None:
        if not spec.skip_invalid:
            on_note(f"{source}:{row.line}: {row.message}")

    scan = scan_rows(source, spec.prompt_field, defaults, on_invalid)
    if scan.invalid and (not spec.skip_invalid or scan.invalid == scan.rows):
        raise UsageError(
            f"{scan.invalid} of {scan.rows} rows of {source} are invalid",
            "correct them, or leave them out with --skip-invalid",
        )
    limit = spec.settings.n_prompts if spec.limit is None else spec.limit
    rows = [row.request for row in scan.read() if isinstance(row, Row)][:limit]
    return [Request(r.key, r.messages, resolved.blend, resolved.sampling, answer) for r in rows]
