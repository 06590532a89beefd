"""A request for one answer, and its prepared form.

Here: `Request`; `GenerationSettings`; `PreparedRequest`, with prompts rendered and settings completed; and
`start_request`, which starts the role contexts.
Not here: how prompts are rendered (`pair`), the steps of the answer (`decode.respond`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from blendin_local.core.constraint import UNCONSTRAINED, Constraint
from blendin_local.core.drafting import AcceptanceRates
from blendin_local.core.methods import Role
from blendin_local.core.penalties import History, last
from blendin_local.core.prompts import Conversation
from blendin_local.core.records import Step
from blendin_local.core.roles import GUIDES
from blendin_local.core.text import split_characters
from blendin_local.decode.drafter import Drafter
from blendin_local.decode.prompt_spans import text_of
from blendin_local.decode.respond import AnswerGenerator, respond
from blendin_local.decode.role_context import RoleContext
from blendin_local.decode.trace import TracePolicy, with_trace
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import ContextFullError, UsageError
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings

RoleContexts = Mapping[Role, RoleContext]


@dataclass(frozen=True)
class Request:
    """One request among many.

    Attributes:
        key: The caller's own identifier.
        messages: A question, or messages whose last is to be answered; as in `Pair.stream`.
        blend: Method, threshold, alpha.
        sampling: Temperature and its companions.
        answer: Limits and stop strings; those of the base's template are added.
    """

    key: str
    messages: Conversation
    blend: BlendSettings = field(default_factory=BlendSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    answer: AnswerSettings = field(default_factory=AnswerSettings)


@dataclass(frozen=True)
class GenerationSettings:
    """All settings of one answer."""

    blend: BlendSettings = field(default_factory=BlendSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    answer: AnswerSettings = field(default_factory=AnswerSettings)


@dataclass(frozen=True, slots=True)
class GateReading:
    """What the gate of a control vector says of a prompt.

    Attributes:
        layer: The layer it looks at.
        threshold: The projection above which it opens.
        value: How far the prompt is beyond the threshold; negative where the gate stays closed.
    """

    layer: int
    threshold: float
    value: float

    @property
    def is_open(self) -> bool:
        """Whether the base is steered."""
        return self.value > 0

    def to_json(self) -> dict[str, Any]:
        """As the signature of an answer has it."""
        return {**asdict(self), "open": self.is_open}


@dataclass(frozen=True)
class PreparedRequest:
    """A request that is ready to run.

    Attributes:
        prompts: The rendered prompt of each role that the method may ask.
        settings: All settings, with the seed and the template's stop strings filled in.
        signature: Everything that decides which bytes the answer has.
        notices: Sentences the user should know.
        load_ms: How long the models took to load.
        answer_start: The steps that the answer begins with.
        acceptance: How often drafts of this pair came true; None for no drafts.
        constraint: What the answer may be.
        gate: With method `steer`, whether the base is steered; None for any other method.
    """

    prompts: Mapping[Role, Sequence[Span]]
    settings: GenerationSettings
    signature: Mapping[str, Any]
    notices: tuple[str, ...] = ()
    load_ms: float = 0.0
    answer_start: tuple[Step, ...] = ()
    acceptance: AcceptanceRates | None = None
    constraint: Constraint = UNCONSTRAINED
    gate: GateReading | None = None

    def role_contexts(self, slot: RoleContexts) -> dict[Role, RoleContext]:
        """The role contexts that the answer is made in, out of those of one conversation."""
        chosen = {role: slot[role] for role in self.prompts}
        if self.gate is not None and not self.gate.is_open:
            chosen["base"] = slot["base"].unsteered()
        return chosen

    def start(self, role_contexts: RoleContexts) -> AnswerGenerator:
        """A new `respond` generator with its trace; it owns no model.

        Args:
            role_contexts: Those that `start_request` started.
        """
        blend, sampling, answer = self.settings.blend, self.settings.sampling, self.settings.answer
        running = respond(
            blend,
            sampling,
            answer,
            start=self.answer_start,
            prompt=self._penalized_prompt(role_contexts),
            constraint=self.constraint,
            guides=tuple(role for role in GUIDES if role in self.prompts) or ("guide",),
        )
        return with_trace(running, TracePolicy.of(blend, sampling, answer))

    def drafter(self, role_contexts: RoleContexts) -> Drafter | None:
        """What proposes drafts for the answer; None where there are to be none.

        Args:
            role_contexts: Those that `start_request` started.
        """
        first: Role = "base" if "base" in self.prompts else "guide"
        checked, mode = role_contexts[first], self.settings.answer.draft
        if mode == "off" or self.acceptance is None or not checked.can_draft:
            return None
        return Drafter(
            mode,
            checked,
            role_contexts.get("guide") if first == "base" else None,
            prompt=text_of(self.prompts[first]).encode(),
            rates=self.acceptance,
            max_tokens=self.settings.answer.max_tokens,
            constraint=self.constraint,
        )

    def _penalized_prompt(self, role_contexts: RoleContexts) -> History:
        """The last tokens before the answer, as many as a penalty can look at; the base's if there is a base.

        A text that the answer is given to begin with is tokenized like the prompt.
        """
        sampling = self.settings.sampling
        if not sampling.penalizes:
            return ()
        role_context = role_contexts["base" if "base" in self.prompts else "guide"]
        given = b"".join(step.bytes for step in self.answer_start if step.source == "given")
        return last(role_context.prompt_pieces(given.decode()), sampling.longest_window)

    def signed(self, role_contexts: RoleContexts) -> Mapping[str, Any]:
        """The signature, with the prompt's tokens if the answer is to be replayed with penalties on them."""
        prompt = self._penalized_prompt(role_contexts) if self.settings.answer.evidence else ()
        if not prompt:
            return self.signature
        return {**self.signature, "prompt_tokens": [None if s is None else list(s) for s in prompt]}


def start_request(
    request: PreparedRequest, role_contexts: RoleContexts, *, fresh: bool = False
) -> RoleContexts:
    """Start the role contexts of a request.

    Args:
        request: What is to be answered.
        role_contexts: The role contexts of one conversation.
        fresh: Whether the answer must not depend on earlier answers in these role contexts.

    Returns:
        The role contexts that the request uses.

    Raises:
        ContextFullError: A prompt with the start of the answer is longer than its context.
        UsageError: A prompt is empty.
    """
    start, _ = split_characters(b"".join(step.bytes for step in request.answer_start))
    resume = any(step.source != "given" for step in request.answer_start)
    chosen = request.role_contexts(role_contexts)
    for role, role_context in chosen.items():
        role_context.begin(
            request.prompts[role],
            request.settings.blend.top_k,
            start=start,
            resume=resume,
            fresh=fresh,
            constraint=request.constraint,
        )
        n_tokens = len(role_context.sequence.ids)
        if n_tokens >= role_context.context.ctx_size:
            raise ContextFullError(n_prompt=n_tokens, n_ctx=role_context.context.ctx_size, role=role)
        if not role_context.sequence.ids:
            raise UsageError(f"the {role}'s prompt is empty", "give it at least one character")
    return chosen
