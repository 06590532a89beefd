"""`blendin replay --fork`: a stored answer goes on from one of its steps with another candidate.

Here: `fork_answer`: the step and the candidate, the pair of the record, the new answer.
Not here: a step's name (`cli.common.named_steps`), the pair of a record (`jobs.replay.recorded_pair`), where
the answer goes (`cli.run.outputs`). Unlike the rest of `replay` this loads the models.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from blendin_local.cli.common.asking import acceptance
from blendin_local.cli.common.interrupt import Interrupt, stop_on_interrupt
from blendin_local.cli.common.named_steps import candidate_named, step_named
from blendin_local.cli.common.options import SHOWN_CANDIDATES, OutputOptions, SessionOptions
from blendin_local.cli.common.printing import print_json, print_note
from blendin_local.cli.common.session import Session, open_resolved, pair_spec
from blendin_local.cli.common.status import StatusLine, starting
from blendin_local.cli.replay.files import refuse_to_overwrite
from blendin_local.cli.run.command import show_log
from blendin_local.cli.run.outputs import Outputs, show_prompts
from blendin_local.core.answer_start import forked_steps
from blendin_local.core.prompts import Message, begun_answer
from blendin_local.core.record_json import step_to_json
from blendin_local.core.records import Step
from blendin_local.core.roles import FURTHER_GUIDES, GUIDES, ROLES
from blendin_local.decode.stream import AnswerStream
from blendin_local.errors import UsageError
from blendin_local.jobs.replay.answer_file import answers_named, first_names, read_answers
from blendin_local.jobs.replay.recorded_pair import (
    differences,
    find_models,
    recorded_spec,
    with_recorded_prompts,
)
from blendin_local.jobs.replay.stored_answer import StoredAnswer
from blendin_local.models.registry import load_registry
from blendin_local.models.store import Store
from blendin_local.pair.resolve import PairSpec, ResolvedPair, resolve_pair
from blendin_local.views.answer_tables import why_table
from blendin_local.views.theme import Consoles
from blendin_local.views.visible import visible

CANDIDATES = "the same command without --candidate shows the candidates of the step"


@dataclass(frozen=True)
class Fork:
    """What goes on, and from where.

    Attributes:
        file: The file with the answer.
        answer_id: Which answer of the file; None for the only one.
        step: The number of the step to replace.
        candidate: What replaces it: the number of a candidate, or a text; None to show the candidates.
    """

    file: Path
    answer_id: str | None
    step: str
    candidate: str | None


def fork_answer(
    fork: Fork, options: SessionOptions, output: OutputOptions, consoles: Consoles, given: Collection[str]
) -> None:
    """Go on from a step of a stored answer; without a candidate, show those of the step.

    Args:
        fork: What goes on, and from where.
        options: Those of the command line and the environment.
        output: Where the answer goes.
        consoles: The terminal.
        given: The names of options that stand on the command line; only those win over the record.

    Raises:
        UsageError: There is no such answer, step or candidate, or the record lacks what is needed.
        ModelNotFoundError: A model of the record is not known here.
        KeyboardInterrupt: The user stopped it; what was answered has been written.
    """
    stored = _one_answer(fork, consoles.err)
    step = step_named(stored.decisions, fork.step, "the stored answer")
    if fork.candidate is None:
        _show_candidates(step, output, consoles)
        return
    if not fork.candidate.strip():
        raise UsageError("the candidate is empty", CANDIDATES)
    start = forked_steps(stored.decisions, int(fork.step), candidate_named(step, fork.candidate.strip()))
    refuse_to_overwrite(fork.file, (output.trace, output.html, output.svg))
    options = _on_command_line(options, given)
    if output.html is not None and not stored.answer.top_logprobs:
        options = replace(options, answer=options.answer.with_default(top_logprobs=SHOWN_CANDIDATES))
    with starting(consoles.err) as status, stop_on_interrupt() as interrupt:
        _answer(stored, (step, start), options, output, consoles, status=status, interrupt=interrupt)


def _one_answer(fork: Fork, err: Console) -> StoredAnswer:
    file = read_answers(fork.file)
    answers = answers_named(fork.file, file, fork.answer_id)
    if len(answers) > 1 and fork.answer_id is None:
        raise UsageError(
            f"{fork.file} holds {len(answers)} answers, and one of them can go on",
            f"choose it with --id; it begins with {first_names(answers)}",
        )
    if len(answers) > 1:
        raise UsageError(
            f"{fork.file} holds {len(answers)} answers with the id {fork.answer_id!r}",
            "copy the line of the one that is meant to a file of its own",
        )
    if file.truncated:
        print_note(err, f"note: the last line of {fork.file} is cut off; it was left out")
    return answers[0]


def _show_candidates(step: Step, output: OutputOptions, consoles: Consoles) -> None:
    for name in ("trace", "html", "svg", "jsonl"):
        if getattr(output, name):
            raise UsageError(f"--{name} is for the new answer, which needs a candidate", "add --candidate")
    if output.json:
        print_json(step_to_json(step))
        return
    consoles.out.print(why_table(step))
    print_note(consoles.err, "--candidate NUMBER or TEXT goes on with that candidate.")


def _on_command_line(options: SessionOptions, given: Collection[str]) -> SessionOptions:
    """The options without those that only the environment sets: the record wins over them."""
    if {"system", "system_file"} & set(given):
        raise UsageError(
            "--system would change the question of the stored answer", "ask it anew with blendin run --system"
        )
    named = {*given, *(FURTHER_GUIDES if "guide" in given else ())}
    unnamed: dict[str, Any] = dict.fromkeys({"pair", *ROLES} - named)
    return SessionOptions(
        replace(options.models, **unnamed),
        options.runtime.only(given),
        options.blend.only(given),
        options.sampling.only(given),
        options.answer.only(given),
    )


def _resolved(stored: StoredAnswer, given: PairSpec, err: Console, *, evidence: bool) -> ResolvedPair:
    """The pair that goes on: the models that are given, else those of the record, with its settings."""
    accept = acceptance(err)
    registry = load_registry(given.models_file, accept=accept)
    spec = recorded_spec(stored, given)
    if given.pair is None:
        unnamed = [role for role in ROLES if getattr(given, role) is None]
        if given.guide is not None:
            unnamed = [role for role in unnamed if role not in GUIDES]
        found: dict[str, Any] = dict(find_models(stored, unnamed, registry, Store.default()))
        spec = replace(spec, **found)
    spec = replace(spec, system="", answer={**spec.answer, "evidence": evidence})
    return with_recorded_prompts(resolve_pair(spec, registry), stored)


def _answer(
    stored: StoredAnswer,
    fork: tuple[Step, Sequence[Step]],
    options: SessionOptions,
    output: OutputOptions,
    consoles: Consoles,
    *,
    status: StatusLine,
    interrupt: Interrupt,
) -> None:
    """Open the pair and answer, as `run` does."""
    messages, _ = begun_answer(stored.messages)
    question = messages[-1].text if messages else ""
    with Outputs.open(output, question, consoles) as outputs:
        err = outputs.console
        if output.verbose:
            show_log(err)
        status.clear()  # there may be a question
        resolved = _resolved(stored, pair_spec(options), err, evidence=output.trace is not None)
        with open_resolved(resolved, status, lambda: interrupt.requested) as session:
            stream = _stream(session, messages, fork[1], lambda: interrupt.requested or outputs.closed)
            prompts = session.pair.prompts(messages or "", "", answer=session.answer)
            if output.verbose:
                show_prompts(err, prompts)
            status.clear()
            print_note(err, f"{_replacement(*fork)}; {resolved.describe()} goes on from there.")
            for sentence in differences(stored, stream.signature):
                print_note(err, f"note: {sentence}")
            outputs.begin(prompts, stream.signature, messages)
            outputs.steps(stream, status)
            outputs.finish(stream.completion)
        if interrupt.requested:
            raise KeyboardInterrupt


def _stream(
    session: Session, messages: Sequence[Message], start: Sequence[Step], should_stop: Callable[[], bool]
) -> AnswerStream:
    resolved = session.resolved
    return session.pair.stream(
        messages or "",
        system="",
        blend=resolved.blend,
        sampling=resolved.sampling,
        answer=session.answer,
        answer_start=start,
        should_stop=should_stop,
    )


def _replacement(replaced: Step, start: Sequence[Step]) -> str:
    return f"Step {len(start) - 1} is {visible(start[-1].bytes)} in place of {visible(replaced.bytes)}"
