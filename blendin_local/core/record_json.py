"""The records of an answer to JSON and back.

Here: `completion_to_json` and `completion_from_json`, `step_to_json` and `step_from_json`.
Not here: the records (`core.records`), files of them (`jobs.replay.answer_file`).
The published schema is `docs/answer.schema.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_args

from blendin_local.core.beams import SearchRecord
from blendin_local.core.records import (
    BlendSummary,
    Candidate,
    CandidateLists,
    Completion,
    GuidePart,
    SideQuery,
    Source,
    Step,
    StoppedBy,
    Timings,
    Usage,
)
from blendin_local.core.roles import FURTHER_GUIDES

ROUNDING = 1e-4  # by which a sum of probabilities in single precision may be over 1
CHAT_FILE = "blendin-chat"  # the `type` of the first line of a saved conversation
LEGAL_MASSES = ("legal_base", "legal_guide")  # of a step, as its fields are named
FURTHER_MODELS = (*FURTHER_GUIDES, "untuned")
RENAMED_ROLES = {"anti": "untuned"}  # names in records of version 0.1


def candidate_to_json(candidate: Candidate | None) -> dict[str, Any] | None:
    """`{text, bytes, p}`, or None."""
    if candidate is None:
        return None
    return {"text": candidate.text, "bytes": list(candidate.bytes), "p": candidate.p}


def _list_to_json(candidates: Sequence[Candidate] | None) -> list[dict[str, Any] | None] | None:
    return None if candidates is None else [candidate_to_json(c) for c in candidates]


def step_to_json(step: Step) -> dict[str, Any]:
    """The step record of `--json`, `--jsonl` and `--trace`."""
    record: dict[str, Any] = {
        "i": step.i,
        "text": step.text,
        "bytes": list(step.bytes),
        "source": step.source,
        "alpha": step.alpha,
        "base_top": candidate_to_json(step.base_top),
        "guide_top": candidate_to_json(step.guide_top),
    }
    if step.silent:
        record["silent"] = list(step.silent)
    if step.instead_of is not None:
        record["instead_of"] = candidate_to_json(step.instead_of)
    for name in LEGAL_MASSES:
        if (mass := getattr(step, name)) is not None:
            record[name] = mass
    if step.untuned_top is not None:
        record["untuned_top"] = candidate_to_json(step.untuned_top)
    if step.candidates is not None:
        names = ("base", "guide", "blend")
        record["candidates"] = {name: _list_to_json(getattr(step.candidates, name)) for name in names}
    if step.guides:
        record["guides"] = [_guide_part_to_json(part) for part in step.guides]
    if step.proposer:
        record["proposer"] = step.proposer
    if step.further:
        record["further"] = [_side_query_to_json(query) for query in step.further]
    return record


def _guide_part_to_json(part: GuidePart) -> dict[str, Any]:
    candidates = {} if part.candidates is None else {"candidates": _list_to_json(part.candidates)}
    top = candidate_to_json(part.top)
    return {"role": part.role, "alpha": part.alpha, "top": top, **candidates}


def _side_query_to_json(query: SideQuery) -> dict[str, Any]:
    record: dict[str, Any] = {
        "role": query.role,
        "after": list(query.after),
        "top": candidate_to_json(query.top),
    }
    if query.candidates is not None:
        record["candidates"] = _list_to_json(query.candidates)
    if query.confidence is not None:
        record["confidence"] = query.confidence
    if query.silent:
        record["silent"] = True
    if query.log_normalizer is not None:
        record["log_normalizer"] = query.log_normalizer
    if query.margin is not None:
        record["margin"] = query.margin
    if query.entropy is not None:
        record["entropy"] = query.entropy
    return record


def completion_to_json(completion: Completion, *, with_steps: bool = True) -> dict[str, Any]:
    """The object of `--json`; the settings in `blend` are taken from the signature."""
    summary, usage = completion.blend, completion.usage
    settings = completion.signature.get("blend", {})
    record: dict[str, Any] = {
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "stopped_by": completion.stopped_by,
        **({} if completion.complete is None else {"complete": completion.complete}),
        "usage": {
            "base_prompt_tokens": usage.base_prompt_tokens,
            "guide_prompt_tokens": usage.guide_prompt_tokens,
            "completion_steps": summary.steps,
            **_of_further_models(usage, "prompt_tokens"),
        },
        "timings": completion.timings.to_json(),
        "blend": {
            "method": settings.get("method"),
            "threshold": settings.get("threshold"),
            "alpha": settings.get("alpha"),
            "top_k": settings.get("top_k"),
            "steps": summary.steps,
            "asked": summary.asked,
            "changed": summary.changed,
            "intervention_rate": summary.intervention_rate,
            "changed_rate": summary.changed_rate,
            "mean_alpha": summary.mean_alpha,
            "base_silent": summary.base_silent,
            "guide_silent": summary.guide_silent,
            "guide_tokens_evaluated": usage.guide_tokens_evaluated,
            "base_tokens_evaluated": usage.base_tokens_evaluated,
            **_drafts(completion),
            **_constrained(completion),
            **_of_further_models(usage, "tokens_evaluated"),
            **_guide_counts(summary),
        },
        **({} if completion.search is None else {"search": completion.search.to_json()}),
        "signature": dict(completion.signature),
        "notices": list(completion.notices),
        "end": None if completion.end is None else step_to_json(completion.end),
    }
    if with_steps:
        record["steps"] = [step_to_json(step) for step in completion.steps]
    return record


def _of_further_models(usage: Usage, name: str) -> dict[str, int]:
    """A count of the models beside base and guide that were asked."""
    asked = [role for role in FURTHER_MODELS if getattr(usage, f"{role}_prompt_tokens")]
    return {f"{role}_{name}": getattr(usage, f"{role}_{name}") for role in asked}


def _guide_counts(summary: BlendSummary) -> dict[str, Any]:
    """Whose word how many changed steps are; empty with one guide."""
    if not summary.guides:
        return {}
    return {"guides": {role: asdict(counts) for role, counts in summary.guides.items()}}


def _drafts(completion: Completion) -> dict[str, Any]:
    """Tokens that were guessed ahead and came true, and evaluations per step; empty if nothing was."""
    timings, steps = completion.timings, completion.blend.steps
    if not timings.drafted or not steps:
        return {}
    first = "base" if "base" in timings.threads else "guide"
    return {
        "drafted": sum(timings.drafted.values()),
        "accepted": sum(timings.accepted.values()),
        f"{first}_evaluations_per_step": timings.evaluations.get(first, 0) / steps,
    }


def _constrained(completion: Completion) -> dict[str, Any]:
    """How much of the answer the constraint wrote, and the models' legal mass; empty without a constraint."""
    if completion.complete is None:
        return {}
    summary = completion.blend
    return {
        "forced": summary.forced,
        "legal_base": summary.legal_base,
        "legal_guide": summary.legal_guide,
    }


def completion_from_json(record: Mapping[str, Any]) -> Completion:
    """The completion that `completion_to_json` wrote with its steps; times are rounded to microseconds.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, OverflowError: It is no such record.
    """
    end, signature = record["end"], record["signature"]
    method = signature.get("blend", {}).get("method", "")
    if not isinstance(record["text"], str) or not isinstance(method, str):
        raise TypeError("the text or the method is not a string")
    steps = tuple(step_from_json(step) for step in record["steps"])
    for step in steps:
        step.bytes.decode()
    return Completion(
        text=record["text"],
        steps=steps,
        stopped_by=one_of(StoppedBy, record["stopped_by"]),
        end=None if end is None else step_from_json(end),
        usage=_usage(record["usage"], record["blend"]),
        timings=_timings(record["timings"]),
        signature=signature,
        notices=tuple(str(notice) for notice in record["notices"]),
        complete=None if record.get("complete") is None else bool(record["complete"]),
        search=None if record.get("search") is None else SearchRecord.from_json(record["search"]),
    )


def _usage(usage: Mapping[str, Any], evaluated: Mapping[str, Any]) -> Usage:
    roles = ("base", "guide", *FURTHER_MODELS)
    prompts = {f"{role}_prompt_tokens": int(usage.get(f"{role}_prompt_tokens", 0)) for role in roles}
    others = {f"{role}_tokens_evaluated": int(evaluated.get(f"{role}_tokens_evaluated", 0)) for role in roles}
    return Usage(**prompts, **others)


def _timings(record: Mapping[str, Any]) -> Timings:
    threads = {
        role: {int(number): int(count) for number, count in counts.items()}
        for role, counts in record.get("threads", {}).items()
    }
    names = [name for name in Timings.__slots__ if name.endswith("_ms") and name in record]
    return Timings(
        **{name: float(record[name]) for name in names},
        threads=threads,
        drafted=_counts(record.get("drafted", {})),
        accepted=_counts(record.get("accepted", {})),
    )


def _counts(record: Mapping[str, Any]) -> dict[str, int]:
    return {str(source): int(n) for source, n in record.items()}


def step_from_json(record: Mapping[str, Any]) -> Step:
    """The step that `step_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: It is no such record.
    """
    lists = record.get("candidates")
    return Step(
        i=int(record["i"]),
        bytes=_bytes(record["bytes"]),
        source=one_of(Source, record["source"]),
        alpha=None if record["alpha"] is None else float(record["alpha"]),
        base_top=_candidate(record["base_top"]),
        guide_top=_candidate(record["guide_top"]),
        candidates=None if lists is None else CandidateLists(*map(_list, _lists_by_role(lists))),
        untuned_top=_candidate(record.get("untuned_top", record.get("anti_top"))),
        further=tuple(_side_query(query) for query in record.get("further", ())),
        silent=tuple(current_role(str(role)) for role in record.get("silent", ())),
        instead_of=_candidate(record.get("instead_of")),
        guides=tuple(_guide_part(part) for part in record.get("guides", ())),
        proposer=current_role(str(record.get("proposer", ""))),
        **{name: float(record[name]) for name in LEGAL_MASSES if record.get(name) is not None},
    )


def current_role(role: str) -> str:
    """The name of a role today, given the name a record has for it."""
    return RENAMED_ROLES.get(role, role)


def by_current_role(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping by role, such as the models of a signature, under the names of today."""
    return {current_role(role): value for role, value in facts.items()}


def _lists_by_role(lists: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return lists["base"], lists["guide"], lists["blend"]


def _guide_part(record: Mapping[str, Any]) -> GuidePart:
    top = _candidate(record["top"])
    if top is None:
        raise ValueError("a guide lacks its likeliest candidate")
    candidates = _list(record.get("candidates"))
    return GuidePart(str(record["role"]), _number(record["alpha"]), top, candidates)


def _side_query(record: Mapping[str, Any]) -> SideQuery:
    top = _candidate(record["top"])
    if top is None:
        raise ValueError("a side query lacks its likeliest candidate")
    return SideQuery(
        role=current_role(str(record["role"])),
        after=_bytes(record["after"]),
        top=top,
        candidates=_list(record.get("candidates")),
        confidence=_number(record.get("confidence")),
        silent=bool(record.get("silent", False)),
        log_normalizer=_number(record.get("log_normalizer")),
        margin=_number(record.get("margin")),
        entropy=_number(record.get("entropy")),
    )


def _number(value: Any) -> float | None:  # noqa: ANN401 - any JSON value
    return None if value is None else float(value)


def _candidate(record: Mapping[str, Any] | None) -> Candidate | None:
    return None if record is None else Candidate(_bytes(record["bytes"]), _probability(record["p"]))


def _probability(value: Any) -> float:  # noqa: ANN401 - any JSON value
    p = float(value)
    if not 0 <= p <= 1 + ROUNDING:
        raise ValueError(f"{p} is no probability")
    return p


def _list(records: Sequence[Mapping[str, Any]] | None) -> tuple[Candidate, ...] | None:
    if records is None:
        return None
    return tuple(Candidate(_bytes(record["bytes"]), _probability(record["p"])) for record in records)


def _bytes(values: object) -> bytes:
    if not isinstance(values, list):
        raise TypeError("bytes are not a list of numbers")
    return bytes(values)


def one_of(words: Any, value: object) -> Any:  # noqa: ANN401 - a Literal and one of its words
    """`value`, if it is one of a Literal's words; ValueError if not."""
    if value not in get_args(words):
        raise ValueError(f"{value!r} is none of {', '.join(get_args(words))}")
    return value
