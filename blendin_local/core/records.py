"""The records of an answer: `Step`, `Completion`, and summaries of them.

Here: the records every surface reads (terminal, JSON, HTML, trace).
Not here: how a step is decided (`core.methods`, `decode.respond`) or shown (`views`, `reports`).
The published schema is `docs/answer.schema.json`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from blendin_local.core.beams import SearchRecord

Source = Literal["base", "kept", "changed", "guide", "chosen", "given", "forced"]
FinishReason = Literal["stop", "length", "cancelled", "error"]
StoppedBy = Literal[
    "base_end", "guide_end", "stop_string", "complete", "max_tokens", "context", "repetition", "user"
]

FINISH_REASONS: Mapping[StoppedBy, FinishReason] = {
    "base_end": "stop",
    "guide_end": "stop",
    "stop_string": "stop",
    "complete": "stop",
    "repetition": "stop",
    "max_tokens": "length",
    "context": "length",
    "user": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate for the next bytes, with its probability; empty bytes are END."""

    bytes: bytes
    p: float

    @property
    def text(self) -> str:
        """The bytes as text, with U+FFFD for an incomplete character."""
        return self.bytes.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class CandidateLists:
    """The head of each distribution at one step, largest first; None if a model was not asked."""

    base: tuple[Candidate, ...] | None
    guide: tuple[Candidate, ...] | None
    blend: tuple[Candidate, ...] | None


@dataclass(frozen=True, slots=True)
class SideQuery:
    """What a model predicted on the way to a step, beside what base and guide predicted at its beginning.

    Attributes:
        role: The model that was asked.
        after: The bytes between the beginning of the step and the predicted position: an unfinished character
            to complete, or nothing.
        top: Its likeliest candidate at that position.
        candidates: All of its candidates, largest first; None unless requested.
        confidence: Its top-1 probability at the temperature fitted for it, where there is one.
        silent: Whether it made no suggestion: most of its probability was on tokens without bytes.
        log_normalizer: log Z of its softmax, where a repeat penalty needed its logits.
        margin: The difference between its two likeliest candidates, where a trace keeps it.
        entropy: Of its softmax, in nats; likewise.
    """

    role: str
    after: bytes
    top: Candidate
    candidates: tuple[Candidate, ...] | None = None
    confidence: float | None = None
    silent: bool = False
    log_normalizer: float | None = None
    margin: float | None = None
    entropy: float | None = None


@dataclass(frozen=True, slots=True)
class GuidePart:
    """What one of several guides contributed to a step.

    Attributes:
        role: Which guide.
        alpha: Its weight; those of all guides sum to the step's alpha. None where that is None.
        top: Its likeliest candidate.
        candidates: Its most probable candidates; None unless requested.
    """

    role: str
    alpha: float | None
    top: Candidate
    candidates: tuple[Candidate, ...] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One emitted candidate and why.

    Attributes:
        i: Position in the answer, from 0.
        bytes: What the step added: whole UTF-8 characters, never empty but for the END of an answer.
        source: `base` (the guide was not asked), `kept` (asked, the base's top candidate won),
            `changed` (asked, another candidate won), `guide` (there is no base), `chosen` (by the user),
            `given` (text that the answer was begun with), `forced` (the constraint allowed nothing else, and
            no model was asked).
        alpha: The guide's weight at an asked step, None elsewhere. With several guides this, `guide_top`, the
            guide's list of candidates and `legal_guide` are of what they say together.
        base_top: The base's likeliest candidate, None if the base was not run.
        guide_top: The guide's likeliest candidate, None if the guide was not asked.
        candidates: The most probable candidates of each model; None unless requested.
        further: Further predictions needed for this step; usually none.
        untuned_top: The third model's likeliest candidate, None if it was not asked.
        silent: The roles that were asked and made no suggestion: most of their weight was on tokens without
            bytes.
        instead_of: The candidate that would have been picked without penalties on repetition, with its
            probability before them; None if it is the one that was.
        legal_base: Under a constraint, the probability that the base gave to what was legal; its other
            probabilities are conditioned on that. None without a constraint, or if the base was not run.
        legal_guide: The same for the guide.
        guides: With several guides, the part of each that was asked; empty with one.
        proposer: With several guides, the role whose word this is: the model with the largest weighted
            probability of it. Empty with one, or if none was asked.
    """

    i: int
    bytes: bytes
    source: Source
    alpha: float | None = None
    base_top: Candidate | None = None
    guide_top: Candidate | None = None
    candidates: CandidateLists | None = None
    further: tuple[SideQuery, ...] = ()
    untuned_top: Candidate | None = None
    silent: tuple[str, ...] = ()
    instead_of: Candidate | None = None
    legal_base: float | None = None
    legal_guide: float | None = None
    guides: tuple[GuidePart, ...] = ()
    proposer: str = ""

    @property
    def text(self) -> str:
        """The step's characters."""
        return self.bytes.decode("utf-8")

    @property
    def asked(self) -> bool:
        """Whether the guide was consulted beside the base."""
        return self.source in {"kept", "changed"}


@dataclass(frozen=True, slots=True)
class GuideCounts:
    """Of one of several guides: how many changed steps are its word, and how often it made no suggestion."""

    changed: int
    silent: int


@dataclass(frozen=True, slots=True)
class BlendSummary:
    """How often the guide was consulted over one answer (design words: asked, changed).

    `base_silent` and `guide_silent` count the steps at which that model was asked and made no suggestion.
    `forced` counts the steps that a constraint left no choice for; they are in none of the other counts.
    `legal_base` and `legal_guide` are the mean probability that a model gave to what was legal, over the
    steps at which it was asked under a constraint; None where there was none. With several guides,
    `guide_silent` counts the steps at which none of them made a suggestion, and `guides` has the counts of
    each.
    """

    steps: int
    asked: int
    changed: int
    mean_alpha: float | None
    base_silent: int = 0
    guide_silent: int = 0
    forced: int = 0
    legal_base: float | None = None
    legal_guide: float | None = None
    guides: Mapping[str, GuideCounts] = field(default_factory=dict)

    @property
    def intervention_rate(self) -> float:
        """Asked steps over all steps, 0 for an empty answer."""
        return self.asked / self.steps if self.steps else 0.0

    @property
    def changed_rate(self) -> float:
        """Changed steps over all steps, 0 for an empty answer."""
        return self.changed / self.steps if self.steps else 0.0


def summarize(steps: Sequence[Step]) -> BlendSummary:
    """Fold steps into the counts that are always reported together.

    Given and forced text is no step of a model.
    """
    n_forced = sum(step.source == "forced" for step in steps)
    steps = [step for step in steps if step.source not in {"given", "forced"}]
    return BlendSummary(
        steps=len(steps),
        asked=sum(step.asked for step in steps),
        changed=sum(step.source == "changed" for step in steps),
        mean_alpha=_mean(step.alpha for step in steps),
        base_silent=sum("base" in step.silent for step in steps),
        guide_silent=sum(_is_guide_silent(step) for step in steps),
        forced=n_forced,
        legal_base=_mean(step.legal_base for step in steps),
        legal_guide=_mean(step.legal_guide for step in steps),
        guides=_guide_counts(steps),
    )


def _is_guide_silent(step: Step) -> bool:
    """Whether the guide, or every one of several, was asked and made no suggestion."""
    return all(part.role in step.silent for part in step.guides) if step.guides else "guide" in step.silent


def _guide_counts(steps: Sequence[Step]) -> dict[str, GuideCounts]:
    roles = dict.fromkeys(part.role for step in steps for part in step.guides)
    return {
        role: GuideCounts(
            changed=sum(step.source == "changed" and step.proposer == role for step in steps),
            silent=sum(bool(step.guides) and role in step.silent for step in steps),
        )
        for role in roles
    }


def _mean(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def no_suggestion_notices(summary: BlendSummary) -> tuple[str, ...]:
    """What the user should know of models that made no suggestion; mostly nothing."""
    asked = f"{summary.asked} asked steps" if summary.asked else f"{summary.steps} steps"
    guides = {role: counts.silent for role, counts in summary.guides.items()}
    guides = guides or {"guide": summary.guide_silent}
    counts = [(role, n, asked) for role, n in guides.items()]
    counts.append(("base", summary.base_silent, f"{summary.steps} steps"))
    return tuple(
        f"the {role} made no suggestion at {n} of {of}: its weight was on control tokens"
        for role, n, of in counts
        if n
    )


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens counted by llama.cpp's own tokenizers and evaluations, per role."""

    base_prompt_tokens: int = 0
    guide_prompt_tokens: int = 0
    base_tokens_evaluated: int = 0
    guide_tokens_evaluated: int = 0
    untuned_prompt_tokens: int = 0
    untuned_tokens_evaluated: int = 0
    guide2_prompt_tokens: int = 0
    guide2_tokens_evaluated: int = 0
    guide3_prompt_tokens: int = 0
    guide3_tokens_evaluated: int = 0

    @property
    def all_guide_tokens_evaluated(self) -> int:
        """Of all guides together."""
        return self.guide_tokens_evaluated + self.guide2_tokens_evaluated + self.guide3_tokens_evaluated


DraftSource = Literal["guide", "ngram"]
"""Where a guess of the text to come is from: the guide, or text that repeats itself."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall-clock milliseconds of one answer; `llama_decode_ms` is the part spent inside llama.cpp.

    `threads` has for each role how many evaluations ran on how many threads, `drafted` and `accepted` how
    many tokens were guessed ahead, by whom, and how many of them came true.
    """

    load_ms: float = 0.0
    prompt_ms: float = 0.0
    generation_ms: float = 0.0
    llama_decode_ms: float = 0.0
    first_step_ms: float = 0.0
    threads: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    drafted: Mapping[str, int] = field(default_factory=dict)
    accepted: Mapping[str, int] = field(default_factory=dict)

    @property
    def evaluations(self) -> dict[str, int]:
        """How many calls each role's model was evaluated in."""
        return {role: sum(by_threads.values()) for role, by_threads in self.threads.items()}

    def to_json(self) -> dict[str, Any]:
        """Milliseconds to three places."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()
        }


@dataclass(frozen=True)
class Completion:
    """All steps of one answer with its finish reason.

    Attributes:
        text: The answer: the joined bytes of `steps`, less a stop string cut off at the end.
        steps: Every emitted candidate in order.
        stopped_by: Whose end it was, a stop string, a limit, a repetition or the user.
        end: The decision that ended the answer where END won it (its bytes are empty), else None.
        usage: Token counts.
        timings: Milliseconds.
        signature: Files, versions, thread counts and every setting that made this answer.
        notices: Sentences the user should know (how a model rewinds, a shortened context, ...).
        complete: Whether the text matches the constraint that it was asked for; None without a constraint.
        search: How it was found, where a search over chunks found it.
    """

    text: str
    steps: tuple[Step, ...]
    stopped_by: StoppedBy
    end: Step | None = None
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    signature: Mapping[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    complete: bool | None = None
    search: SearchRecord | None = None

    @property
    def finish_reason(self) -> FinishReason:
        """`stop`, `length` or `cancelled`, derived from `stopped_by`."""
        return FINISH_REASONS[self.stopped_by]

    @property
    def n_start(self) -> int:
        """How many leading steps it was begun with: given text, or steps of an earlier answer."""
        start = self.signature.get("answer_start")
        n = start.get("steps") if isinstance(start, Mapping) else 0  # a file may hold anything
        return min(n, len(self.steps)) if isinstance(n, int) and n > 0 else 0

    @property
    def blend(self) -> BlendSummary:
        """How often the guide was asked and changed the outcome."""
        return summarize(self.steps)

    def to_html(self, prompts: Mapping[str, str] | None = None) -> str:
        """The answer as a self-contained HTML page, as `blendin run --html` writes it.

        Every step is marked by where it comes from, and shows its candidates on hover.

        Args:
            prompts: Rendered prompt by role (`Pair.prompts`), shown below the answer; none by default.
        """
        return str(_answer_html().render_html(prompts or {}, self))

    def _repr_html_(self) -> str:
        """The answer as a notebook shows it: a fragment with the same marks and inline styles only."""
        return str(_answer_html().render_fragment(self))


def _answer_html() -> Any:  # noqa: ANN401 - a module
    """The module that renders answers, imported by name when it is first needed.

    It belongs to a higher layer, so no import statement may name it. This is the one exception to the layers,
    so that a notebook can display a record (docs/architecture.md).
    """
    return importlib.import_module("blendin_local.reports.answer_html")


def replace_step(step: Step, piece: bytes) -> Step:
    """The step with another candidate that the user chose, and what the models proposed there."""
    return replace(step, bytes=piece, source="chosen", further=(), proposer="")
