"""Token counts and timings of one answer, and its final record.

Here: `GenerationStats`, which folds steps into a `Completion`.
Not here: the rule of an answer (`decode.respond`), who makes it (`decode.stream`, `decode.scheduler`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

from blendin_local.core.beams import SearchRecord
from blendin_local.core.records import Completion, Step, Timings, Usage, no_suggestion_notices, summarize
from blendin_local.decode.drafter import Drafter
from blendin_local.decode.request import PreparedRequest, RoleContexts
from blendin_local.decode.respond import Ending


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
        self._prompt_tokens = {role: each.sequence.n_prompt for role, each in role_contexts.items()}
        self._counters = {role: each.sequence.counter for role, each in role_contexts.items()}
        self._started = perf_counter()
        self._first_step_s = self._total_s = 0.0

    @property
    def steps(self) -> Sequence[Step]:
        """The steps noted so far."""
        return self._steps

    def note(self, step: Step) -> None:
        """A step was decided, or repeated from the start of the answer."""
        self.stop_clock()
        if len(self._steps) == len(self._request.answer_start):
            self._first_step_s = self._total_s
        self._steps.append(step)

    def stop_clock(self) -> None:
        """The answer's time ends here, unless it goes on."""
        self._total_s = perf_counter() - self._started

    def close(self, ending: Ending, search: SearchRecord | None = None) -> Completion:
        """The answer is finished; `search` says how it was found, if by a search."""
        if self._drafter is not None:
            self._drafter.finish()
        self.stop_clock()
        return replace(self._completion(ending), search=search)

    def so_far(self) -> Completion:
        """The answer up to the latest step, as if the user had stopped it there.

        The role contexts are not read: they may be making another answer by now, with other counters.
        """
        return self._completion(Ending(b"".join(step.bytes for step in self._steps), "user"))

    def _completion(self, ending: Ending) -> Completion:
        return Completion(
            text=ending.text.decode(),
            steps=tuple(self._steps),
            stopped_by=ending.stopped_by,
            end=ending.end,
            usage=self._usage(),
            timings=self._timings(),
            signature=self._request.signed(self._role_contexts),
            notices=(*self._request.notices, *no_suggestion_notices(summarize(self._steps))),
            complete=self._request.constraint.is_complete(ending.text),
        )

    def _timings(self) -> Timings:
        """Milliseconds; reading prompts and generating add up to the whole."""
        counters = self._counters
        prompt_s = sum(counter.prompt_s for counter in counters.values())
        return Timings(
            load_ms=self._request.load_ms,
            prompt_ms=prompt_s * 1000,
            generation_ms=(self._total_s - prompt_s) * 1000,
            llama_decode_ms=sum(counter.decode_s for counter in counters.values()) * 1000,
            first_step_ms=self._first_step_s * 1000,
            threads={role: dict(sorted(counter.evaluations.items())) for role, counter in counters.items()},
            drafted=dict(self._drafter.drafted) if self._drafter else {},
            accepted=dict(self._drafter.accepted) if self._drafter else {},
        )

    def _usage(self) -> Usage:
        """Tokens of the prompts, and tokens evaluated since the start."""
        prompts = {f"{role}_prompt_tokens": n for role, n in self._prompt_tokens.items()}
        evaluated = {f"{role}_tokens_evaluated": counter.tokens for role, counter in self._counters.items()}
        return Usage(**prompts, **evaluated)
