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

LINE_BREAK = "\n"  # some guides end an answer with a line break, and then their turn


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

    The mean over questions q with answers a of `ends_here`, each q prompted through the guide's template
    without a system text. It takes one prediction after each answer and one after the line break.

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
        options = [answer, answer + LINE_BREAK]
        with suppress(ContextFullError):
            scores = pair.option_logprobs(
                "guide", [Message("user", question)], options, should_stop, ends=True
            )
            found.append(ends_here(*scores))
    return fmean(found) if found else None


def ends_here(answer: OptionScore, with_break: OptionScore) -> float:
    """P(END | a) + P(n | a) * P(END | a n): an answer a ends here, at once or after a line break n.

    With log-probabilities, P(n | a) = exp(log P(a n) - log P(a)), at most 1 - P(END | a): where the two texts
    are other tokens, it may come out larger.

    Args:
        answer: a, with the end after it.
        with_break: a n, likewise.

    Returns:
        A probability.
    """
    at_once = exp(_end(answer))
    breaks = min(exp(min(0.0, with_break.logprob - answer.logprob)), 1 - at_once)
    return at_once + breaks * exp(_end(with_break))


def _end(score: OptionScore) -> float:
    assert score.end_logprob is not None  # it was requested
    return score.end_logprob
