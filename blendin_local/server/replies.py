"""Answers in the form that OpenAI's clients read, with where each token comes from.

Here: pure functions from records to JSON objects, for chat and for texts, whole and in chunks.
Not here: what is asked (`server.bodies`), when a chunk is sent (`server.streaming`).
Sources: OpenAI's API reference; llama-server for `timings`.

The probabilities are those of the distribution that a token was drawn from, before temperature and its
companions: the blend where the guide was asked, the base's where it was not. A token that was completed to a
whole character has the probability of the candidate that began it. Where an answer must have a form, they are
probabilities among what may come there; text that the form forces is one token of probability 1. `blend` and
`complete` are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from blendin_local.core.records import BlendSummary, Candidate, Completion, Step, summarize
from blendin_local.core.text import REPLACEMENT, whole_characters
from blendin_local.server.service import Service, Shown
from blendin_local.views.answer_tables import winner

LOWEST = -9999.0  # what OpenAI's API has for a probability of zero, or none that is known


@dataclass
class Choice:
    """One answer of a reply, as far as it got.

    Attributes:
        index: Its number.
        shown: Its steps with their texts.
        completion: The whole answer, once it has ended.
    """

    index: int
    shown: list[Shown] = field(default_factory=list)
    completion: Completion | None = None

    @property
    def text(self) -> str:
        """The text that was added."""
        return "".join(each.text for each in self.shown)


@dataclass(frozen=True)
class Reply:
    """What all parts of a reply have in common.

    Attributes:
        id: Its id.
        created: Seconds since 1970.
        model: The model's id.
        top_logprobs: How many alternatives to send; None for no probabilities.
        candidates: How many candidates of each model to send.
    """

    id: str
    created: int
    model: str
    top_logprobs: int | None = None
    candidates: int = 0

    def chat(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """A whole chat completion."""
        objects = [
            {
                "index": choice.index,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": self._logprobs(choice.shown),
                "finish_reason": _finish_reason(choice),
                **completeness(choice.completion),
                "blend": blend_of(choice.shown, self.candidates),
            }
            for choice in choices
        ]
        return self._object("chat.completion", objects) | _sums(choices)

    def chat_chunk(
        self, index: int, shown: Sequence[Shown], ended: Completion | None = None
    ) -> dict[str, Any]:
        """A part of a streamed chat completion: new text, or the end."""
        delta = {"content": "".join(each.text for each in shown)} if shown else {}
        choice: dict[str, Any] = {"index": index, "delta": delta, "logprobs": self._logprobs(shown)}
        if shown:
            choice["blend"] = blend_of(shown, self.candidates)
        return self._object("chat.completion.chunk", [{**choice, **_end(ended)}])

    def chat_start(self, index: int) -> dict[str, Any]:
        """The first part of a streamed chat completion: whose message it is."""
        delta = {"role": "assistant", "content": ""}
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        return self._object("chat.completion.chunk", [choice])

    def text(self, choices: Sequence[dict[str, Any]], ended: Sequence[Choice]) -> dict[str, Any]:
        """A whole completion of texts."""
        return self._object("text_completion", choices) | _sums(ended)

    def text_choice(self, choice: Choice) -> dict[str, Any]:
        """One answer of a completion of texts."""
        return {
            "index": choice.index,
            "text": choice.text,
            "logprobs": self.text_logprobs(choice.shown),
            "finish_reason": _finish_reason(choice),
            **completeness(choice.completion),
            "blend": blend_of(choice.shown, self.candidates),
        }

    def text_chunk(
        self, index: int, shown: Sequence[Shown], ended: Completion | None = None, offset: int = 0
    ) -> dict[str, Any]:
        """A part of a streamed completion of texts; `offset` is how many characters came before."""
        choice = {
            "index": index,
            "text": "".join(each.text for each in shown),
            "logprobs": self.text_logprobs(shown, offset),
            **_end(ended),
            "blend": blend_of(shown, self.candidates),
        }
        return self._object("text_completion", [choice])

    def usage_chunk(self, kind: str, choices: Sequence[Choice]) -> dict[str, Any]:
        """The last part of a stream that was asked for its usage."""
        return self._object(kind, []) | _sums(choices)

    def _object(self, kind: str, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": list(choices),
        }

    def _logprobs(self, shown: Sequence[Shown]) -> dict[str, Any] | None:
        """Probabilities in the form of chats."""
        if self.top_logprobs is None or not shown:
            return None
        return {"content": [self._token(each) for each in shown], "refusal": None}

    def _token(self, shown: Shown) -> dict[str, Any]:
        tops = drawn_from(shown.step)[: self.top_logprobs]
        return {
            **_candidate(true_bytes(shown.step), logprob_of(shown.step)),
            "top_logprobs": [_candidate(each.bytes, log(each.p)) for each in tops],
            "blend": blend_of_step(shown.step),
        }

    def text_logprobs(self, shown: Sequence[Shown], offset: int = 0) -> dict[str, Any] | None:
        """Probabilities in the older form of completions of texts."""
        if self.top_logprobs is None:
            return None
        offsets = []
        for each in shown:
            offsets.append(offset)
            offset += len(each.text)
        return {
            "tokens": [each.step.text for each in shown],
            "token_logprobs": [logprob_of(each.step) for each in shown],
            "top_logprobs": [
                {top.text: log(top.p) for top in drawn_from(each.step)[: self.top_logprobs]} for each in shown
            ],
            "text_offset": offsets,
        }


def model_object(service: Service, name: str) -> dict[str, Any]:
    """An entry of the list of models, with the models behind it and how they are put together."""
    blend = service.defaults.blend
    method = name.removeprefix(service.name).removeprefix(":") or blend.method
    models = dict(service.resolved.references)
    return {
        "id": name,
        "object": "model",
        "created": service.created,
        "owned_by": "blendin-local",
        "blend": {"method": method, "threshold": blend.threshold, "models": models},
    }


def drawn_from(step: Step) -> Sequence[Candidate]:
    """The most probable candidates of the distribution that a step was drawn from, largest first."""
    if step.source == "forced":
        return (Candidate(step.bytes, 1.0),)
    lists = step.candidates
    if lists is None:
        return ()
    return lists.blend or (lists.guide if step.source == "guide" else lists.base) or ()


def true_bytes(step: Step) -> bytes:
    """The bytes of a step; where they could not become a character, those that U+FFFD stands for."""
    won = winner(step, drawn_from(step)) if REPLACEMENT in step.bytes else None
    return won if won is not None and whole_characters(won) == step.bytes else step.bytes


def logprob_of(step: Step) -> float:
    """The natural logarithm of the probability of the candidate that became a step."""
    candidates = drawn_from(step)
    won = winner(step, candidates)
    return log(next((each.p for each in candidates if each.bytes == won), 0.0))


def log(p: float) -> float:
    """The natural logarithm, of zero the lowest number in use."""
    return math.log(p) if p > 0 else LOWEST


def blend_of(shown: Sequence[Shown], n_candidates: int = 0) -> list[dict[str, Any]]:
    """Where each token of a text comes from, with the first candidates of each model if they are wanted."""
    parts = [{"text": each.text, **blend_of_step(each.step)} for each in shown]
    if n_candidates:
        for part, each in zip(parts, shown, strict=True):
            part["candidates"] = candidates_of(each.step, n_candidates)
    return parts


def candidates_of(step: Step, n: int) -> dict[str, Any]:
    """The first candidates of base, guide and blend; null for a model that was not asked."""
    lists = step.candidates
    return {
        role: None if not found else [_share(each) for each in found[:n]]
        for role in ("base", "guide", "blend")
        for found in [getattr(lists, role, None)]
    }


def _share(candidate: Candidate) -> dict[str, Any]:
    """A candidate with its bytes; empty bytes are END."""
    return {"token": candidate.text, "bytes": list(candidate.bytes), "p": candidate.p}


def blend_of_step(step: Step) -> dict[str, Any]:
    """Where a step comes from, and what each model considered likeliest."""
    return {
        "step": step.i,
        "source": step.source,
        "alpha": step.alpha,
        "base": _top(step.base_top),
        "guide": _top(step.guide_top),
        **of_several_guides(step),
        **legal_masses(step),
    }


def of_several_guides(step: Step) -> dict[str, Any]:
    """Each guide's weight and likeliest candidate, and whose word it is; empty with one guide."""
    if not step.guides:
        return {}
    parts = [{"role": part.role, "alpha": part.alpha, "top": _top(part.top)} for part in step.guides]
    return {"guides": parts, "proposer": step.proposer}


def legal_masses(step: Step) -> dict[str, float]:
    """What each model that was asked gave to what the form allowed; empty without a form."""
    masses = {"legal_base": step.legal_base, "legal_guide": step.legal_guide}
    return {name: mass for name, mass in masses.items() if mass is not None}


def completeness(completion: Completion | None) -> dict[str, bool]:
    """Whether an answer has the form that was asked for; empty if none was, or it has not ended."""
    complete = None if completion is None else completion.complete
    return {} if complete is None else {"complete": complete}


def _end(ended: Completion | None) -> dict[str, Any]:
    """Why an answer ended, as far as it has."""
    return {"finish_reason": None if ended is None else ended.finish_reason, **completeness(ended)}


def _top(candidate: Candidate | None) -> dict[str, Any] | None:
    return None if candidate is None else {"token": candidate.text, "p": candidate.p}


def _candidate(data: bytes, logprob: float) -> dict[str, Any]:
    return {"token": data.decode("utf-8", "replace"), "bytes": list(data), "logprob": logprob}


def _finish_reason(choice: Choice) -> str | None:
    return None if choice.completion is None else choice.completion.finish_reason


def _sums(choices: Sequence[Choice]) -> dict[str, Any]:
    """Usage and timings of all answers of a reply."""
    ended = [choice.completion for choice in choices if choice.completion is not None]
    n_prompt = max((_n_prompt(each) for each in ended), default=0)
    steps = [each.step for choice in choices for each in choice.shown]
    n_steps, summary = len(steps), summarize(steps)
    guide_tokens = sum(each.usage.all_guide_tokens_evaluated for each in ended)
    usage = {
        "prompt_tokens": n_prompt,
        "completion_tokens": n_steps,
        "total_tokens": n_prompt + n_steps,
        "prompt_tokens_details": {"cached_tokens": min((_n_cached(each) for each in ended), default=0)},
        "blend": {
            "steps": summary.steps,
            "asked": summary.asked,
            "changed": summary.changed,
            **_constrained(ended, summary),
            "guide_tokens": guide_tokens,
            "drafted": sum(sum(each.timings.drafted.values()) for each in ended),
            "accepted": sum(sum(each.timings.accepted.values()) for each in ended),
        },
    }
    return {"usage": usage, "timings": _timings(ended)} if ended else {"usage": usage}


def _constrained(ended: Sequence[Completion], summary: BlendSummary) -> dict[str, Any]:
    """How much of the answers the form wrote, and the models' legal mass; empty without a form."""
    if all(each.complete is None for each in ended):
        return {}
    return {
        "forced": summary.forced,
        "legal_base": summary.legal_base,
        "legal_guide": summary.legal_guide,
    }


def _n_prompt(completion: Completion) -> int:
    return completion.usage.base_prompt_tokens or completion.usage.guide_prompt_tokens


def _n_cached(completion: Completion) -> int:
    """Tokens of the prompt that did not have to be read."""
    usage, timings = completion.usage, completion.timings
    evaluated = usage.base_tokens_evaluated if usage.base_prompt_tokens else usage.guide_tokens_evaluated
    evaluated -= max(0, len(completion.steps) - 1)
    evaluated -= sum(timings.drafted.values()) - sum(timings.accepted.values())
    return max(0, _n_prompt(completion) - max(0, evaluated))


def _timings(ended: Sequence[Completion]) -> dict[str, Any]:
    """As llama-server reports them, in milliseconds, and the tokens of drafts if there were any."""
    n_steps = sum(each.blend.steps for each in ended)
    prompt_ms = sum(each.timings.prompt_ms for each in ended)
    generation_ms = sum(each.timings.generation_ms for each in ended)
    drafted = sum(sum(each.timings.drafted.values()) for each in ended)
    accepted = sum(sum(each.timings.accepted.values()) for each in ended)
    return {
        "prompt_n": sum(map(_n_prompt, ended)),
        "prompt_ms": round(prompt_ms, 3),
        "predicted_n": n_steps,
        "predicted_ms": round(generation_ms, 3),
        "predicted_per_second": round(1000 * n_steps / generation_ms, 3) if generation_ms else None,
        **({"draft_n": drafted, "draft_n_accepted": accepted} if drafted else {}),
    }
