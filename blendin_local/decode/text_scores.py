"""The log-probability of an answer's text as it grows, read by a model of its own accord.

Here: `TextScorer`, one model's; `TextScore`.
Not here: which texts (`decode.search`), whole texts and options (`decode.scoring`).

A text is tokenized as if it were read at once, whatever tokens it was written with: where a chunk changes the
tokens before it, back to the last safe boundary, their scores are replaced. So a score is that of all bytes
so far, not a sum of the scores of chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blendin_local.core.token_scores import logprob_of, logprob_of_any
from blendin_local.decode.role_context import RoleContext
from blendin_local.engine.sequence import EvalCounter, common_prefix
from blendin_local.engine.text_logits import logits_after_prompt
from blendin_local.engine.vocabulary import Span


@dataclass(frozen=True, slots=True)
class TextScore:
    """What a model says of a text.

    Attributes:
        ids: The tokens of the text.
        logprobs: Log p of each, given the prompt and all before it.
        end: Log p(END) after the text.
    """

    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    end: float = 0.0

    def total(self, *, ended: bool) -> float:
        """Log p(text), or log p(text, END)."""
        return sum(self.logprobs) + (self.end if ended else 0.0)


NOTHING = TextScore()


class TextScorer:
    """One model that reads answers after its own prompt.

    Args:
        role_context: The model's, in a slot that no answer uses.
        prompt: The rendered prompt.
        counter: Is told what is evaluated.
    """

    def __init__(self, role_context: RoleContext, prompt: Sequence[Span], counter: EvalCounter) -> None:
        self._role_context = role_context
        role_context.begin(prompt, top_k=1)
        role_context.sequence.counter = counter

    @property
    def knows_end(self) -> bool:
        """Whether the model has an END."""
        return bool(self._role_context.context.model.vocabulary.end_ids)

    def score(
        self, text: bytes, known: TextScore = NOTHING, should_stop: Callable[[], bool] = lambda: False
    ) -> TextScore:
        """Read a text.

        Args:
            text: Valid UTF-8.
            known: The score of what the text begins with; what its tokens have in common is not scored again.
            should_stop: Polled during evaluations.

        Raises:
            ContextFullError: Prompt and text are longer than the context.
            StoppedError: `should_stop` became true.
        """
        context, sequence = self._role_context.context, self._role_context.sequence
        sequence.sync_text(text)
        ids = tuple(sequence.ids[sequence.n_prompt :])
        n_known = common_prefix(known.ids, ids)
        logprobs, end = list(known.logprobs[:n_known]), 0.0
        for i, row in enumerate(logits_after_prompt(context, sequence, should_stop, n_known), n_known):
            if i < len(ids):
                logprobs.append(logprob_of(row, ids[i]))
            else:
                end = logprob_of_any(row, sorted(context.model.vocabulary.end_ids))
        return TextScore(ids, tuple(logprobs), end)
