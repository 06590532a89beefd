"""Sampled answers: each question is drawn with a seed of its own.

Here: `SeededRows`, a pair whose requests get these seeds.
Not here: how an answer is drawn (`core.sampling`), how its row is kept (`jobs.batch`).
With one seed for all questions their random numbers would be the same, and their scores not independent. The
bootstrap over questions needs them to be. All methods share a question's seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from blendin_local.core.records import Completion
from blendin_local.errors import BlendinError
from blendin_local.jobs.batch.batch import BatchPair
from blendin_local.jobs.scoring.items import rank
from blendin_local.pair.pair import Request


class SeededRows:
    """A pair that answers each request with the seed of its question.

    Args:
        pair: The pair.
    """

    def __init__(self, pair: BatchPair) -> None:
        self._pair = pair

    @property
    def tokens_evaluated(self) -> int:
        """Tokens that the models have evaluated so far."""
        return self._pair.tokens_evaluated

    def answer_all(
        self, requests: Iterable[Request], *, should_stop: Callable[[], bool], watch: Callable[[], None]
    ) -> Iterator[tuple[Request, Completion | BlendinError]]:
        """Answer requests, in the order of finishing; call `watch` between evaluations."""
        return self._pair.answer_all(map(_seeded, requests), should_stop=should_stop, watch=watch)


def _seeded(request: Request) -> Request:
    """The request with 32 bits of `sha256("SEED:KEY")` as its seed; SEED is the seed's number, from 1."""
    seed = int(rank(request.sampling.seed or 0, request.key)[:8], 16)
    return replace(request, sampling=replace(request.sampling, seed=seed))
