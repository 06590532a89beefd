"""Token counts and timings of one answer, and its final record.

Here: `GenerationStats`, which folds steps into a `Completion`.
Not here: the rule of an answer (`decode.respond`), who makes it (`decode.stream`, `decode.scheduler`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

from blendin_local.core.methods import Role
from blendin_local.core.records import Completion, Step, Timings, Usage, no_suggestion_notices, summarize
from blendin_local.decode.drafter import Drafter
from blendin_local.decode.request import PreparedRequest, RoleContexts
from blendin_local.decode.respond import Ending
from blendin_local.engine.sequence import CounterReading, EvalCounter


class GenerationStats:
    """Counts and times one answer, from now on.

    Args:
        request: What is answered.
        role_contexts: The role contexts it is made in, begun.
        drafter: What proposes its drafts, None if nothing does.
    """

    def __init__(
        self, request: PreparedRequest, role_contexts: RoleContexts, drafter: Drafter | None = None
    ) -> None:
        self._request = request
        self._drafter = drafter
        self._role_contexts = role_contexts
        self._steps: list[Step] = []
        self._before = {
            role: role_context.sequence.counter.copy() for role, role_context in role_contexts.items()
        }
        self._started = perf_counter()
        self._first_step_s = 0.0
        self._measured = self._measure()

    def note(self, step: Step) -> None:
        """A step was decided, or repeated from the start of the answer."""
        self._measured = self._measure()
        if len(self._steps) == len(self._request.answer_start):
            self._first_step_s = self._measured.total_s
        self._steps.append(step)

    def close(self, ending: Ending) -> Completion:
        """The answer is finished."""
        if self._drafter is not None:
            self._drafter.finish()
        return self._completion(ending, self._measure())

    def so_far(self) -> Completion:
        """The answer up to the latest step, as if the user had stopped it there.

        The role contexts are not read: they may be making another answer by now.
        """
        return self._completion(Ending(b"".join(step.bytes for step in self._steps), "user"), self._measured)

    def _measure(self) -> _Measured:
        contexts = self._role_contexts.items()
        return _Measured(
            total_s=perf_counter() - self._started,
            prompt_s=sum(role_context.prompt_s for _, role_context in contexts),
            prompt_tokens={role: role_context.sequence.n_prompt for role, role_context in contexts},
            counted={role: role_context.sequence.counter.read() for role, role_context in contexts},
            drafted=dict(self._drafter.drafted) if self._drafter else {},
            accepted=dict(self._drafter.accepted) if self._drafter else {},
        )

    def _completion(self, ending: Ending, measured: _Measured) -> Completion:
        spent = {role: EvalCounter.of(n).since(self._before[role]) for role, n in measured.counted.items()}
        return Completion(
            text=ending.text.decode(),
            steps=tuple(self._steps),
            stopped_by=ending.stopped_by,
            end=ending.end,
            usage=_usage(measured, spent),
            timings=self._timings(measured, spent),
            signature=self._request.signed(self._role_contexts),
            notices=(*self._request.notices, *no_suggestion_notices(summarize(self._steps))),
            complete=self._request.constraint.is_complete(ending.text),
        )

    def _timings(self, measured: _Measured, spent: Mapping[Role, EvalCounter]) -> Timings:
        """Milliseconds; reading prompts and generating add up to the whole."""
        return Timings(
            load_ms=self._request.load_ms,
            prompt_ms=measured.prompt_s * 1000,
            generation_ms=(measured.total_s - measured.prompt_s) * 1000,
            llama_decode_ms=sum(counter.decode_s for counter in spent.values()) * 1000,
            first_step_ms=self._first_step_s * 1000,
            threads={role: dict(sorted(counter.evaluations.items())) for role, counter in spent.items()},
            drafted=measured.drafted,
            accepted=measured.accepted,
        )


@dataclass(frozen=True, slots=True)
class _Measured:
    """Time and tokens since the start of an answer.

    Attributes:
        total_s: Seconds.
        prompt_s: Seconds of reading prompts.
        prompt_tokens: Length of each role's prompt.
        counted: What each role's counter showed; it is subtracted only at the end.
        drafted: Tokens guessed ahead, by source.
        accepted: Those of them that came true.
    """

    total_s: float
    prompt_s: float
    prompt_tokens: Mapping[Role, int]
    counted: Mapping[Role, CounterReading]
    drafted: Mapping[str, int]
    accepted: Mapping[str, int]


def _usage(measured: _Measured, spent: Mapping[Role, EvalCounter]) -> Usage:
    """Tokens of the prompts, and tokens evaluated since the start."""
    prompts = {f"{role}_prompt_tokens": n for role, n in measured.prompt_tokens.items()}
    evaluated = {f"{role}_tokens_evaluated": counter.tokens for role, counter in spent.items()}
    return Usage(**prompts, **evaluated)
