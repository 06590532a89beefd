"""Token counts and timings of one answer, and its final record.

Here: `GenerationStats`, which folds steps into a `Completion`.
Not here: the rule of an answer (`decode.respond`), who makes it (`decode.stream`, `decode.scheduler`).
"""

from __future__ import annotations

from time import perf_counter

from blendin_local.core.methods import Role
from blendin_local.core.records import Completion, Step, Timings, Usage, no_suggestion_notices, summarize
from blendin_local.decode.request import PreparedRequest, RoleContexts
from blendin_local.decode.respond import Ending
from blendin_local.engine.sequence import EvalCounter


class GenerationStats:
    """Counts and times one answer, from now on.

    Args:
        request: What is answered.
        role_contexts: The role contexts it is made in, begun.
    """

    def __init__(self, request: PreparedRequest, role_contexts: RoleContexts) -> None:
        self._request = request
        self._role_contexts = role_contexts
        self._steps: list[Step] = []
        self._before = {
            role: role_context.sequence.counter.copy() for role, role_context in role_contexts.items()
        }
        self._started = perf_counter()
        self._first_step_s = 0.0

    def note(self, step: Step) -> None:
        """A step was decided."""
        self._first_step_s = self._first_step_s or perf_counter() - self._started
        self._steps.append(step)

    def close(self, ending: Ending) -> Completion:
        """The answer is finished."""
        return Completion(
            text=ending.text.decode(),
            steps=tuple(self._steps),
            stopped_by=ending.stopped_by,
            end=ending.end,
            usage=self._usage(),
            timings=self._timings(),
            signature=self._request.signed(self._role_contexts),
            notices=(*self._request.notices, *no_suggestion_notices(summarize(self._steps))),
        )

    def _usage(self) -> Usage:
        """Tokens of the prompts, and tokens evaluated since the start."""
        prompts = {
            f"{role}_prompt_tokens": role_context.sequence.n_prompt
            for role, role_context in self._role_contexts.items()
        }
        evaluated = {f"{role}_tokens_evaluated": counter.tokens for role, counter in self._spent().items()}
        return Usage(**prompts, **evaluated)

    def _spent(self) -> dict[Role, EvalCounter]:
        """What each role has evaluated since the start."""
        return {
            role: role_context.sequence.counter.since(self._before[role])
            for role, role_context in self._role_contexts.items()
        }

    def _timings(self) -> Timings:
        """Milliseconds; reading prompts and generating add up to the whole."""
        total_s = perf_counter() - self._started
        prompt_s = sum(role_context.prompt_s for role_context in self._role_contexts.values())
        spent = self._spent()
        return Timings(
            load_ms=self._request.load_ms,
            prompt_ms=prompt_s * 1000,
            generation_ms=(total_s - prompt_s) * 1000,
            llama_decode_ms=sum(counter.decode_s for counter in spent.values()) * 1000,
            first_step_ms=self._first_step_s * 1000,
            threads={role: dict(sorted(counter.evaluations.items())) for role, counter in spent.items()},
        )
