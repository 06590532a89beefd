"""Whether the guide is prompted as it was trained: it then knows where an answer ends.

Here: `end_probability`, measured on a few short answers that ship with the program.
Not here: the answers themselves (`jobs.check.built_in_texts`), from where on a template is suspect
(`settings.CheckSettings.end_p`).
Source: measured by `benchmarks/template_likelihood.py` (docs/check.md has the table). Three guides, each with
its own template, with foreign ones and with none, were compared by the likelihood of good answers, by that of
the template's own words, and by the end after good answers. Only the last tells a wrong template from a right
one on all of them, and it does so best after a single word: a full stop may end any text, but that a word
ends one is known only to a model that takes it for an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from math import exp
from statistics import fmean
from typing import Protocol

from blendin_local.core.methods import Role
from blendin_local.core.prompts import Conversation, Message
from blendin_local.core.token_scores import OptionScore
from blendin_local.errors import ContextFullError


class AnswerScorer(Protocol):
    """What is needed of a pair."""

    def option_logprobs(
        self,
        role: Role,
        messages: Conversation,
        options: Sequence[str],
        should_stop: Callable[[], bool],
        *,
        ends: bool,
    ) -> list[OptionScore]:
        """The log-likelihood of each option as the answer, and of the end after it."""
        ...


def end_probability(
    pair: AnswerScorer, answers: Iterable[tuple[str, str]], should_stop: Callable[[], bool] = lambda: False
) -> float | None:
    """How likely the guide ends its turn after answers that are complete.

    The mean of P(END | q, a) over questions q with answers a, each q prompted through the guide's template
    without a system text. All end tokens are pooled. It takes one prediction after each answer.

    Args:
        pair: With a guide that can be prompted.
        answers: Questions, each with its answer.
        should_stop: Polled during evaluations.

    Returns:
        A probability; None if no question fits into the context.

    Raises:
        StoppedError: `should_stop` became true.
    """
    found = []
    for question, answer in answers:
        with suppress(ContextFullError):
            [score] = pair.option_logprobs(
                "guide", [Message("user", question)], [answer], should_stop, ends=True
            )
            assert score.end_logprob is not None, "it was requested"
            found.append(exp(score.end_logprob))
    return fmean(found) if found else None
