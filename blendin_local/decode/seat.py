"""One role's place in one conversation: its model's lane, kept in step with prompt and answer.

Here: `Seat`: a prompt becomes tokens once, a longer conversation only adds to them, predictions are made, and
the role goes along with what it proposed itself.
Not here: the order of questions (`decode.respond`, `decode.drive`).
Source: design rule "Contexts".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.candidates import TokenTable
from blendin_local.core.distribution import Prediction
from blendin_local.engine.context import Context
from blendin_local.engine.lane import Lane
from blendin_local.engine.vocabulary import Span


class Seat:
    """One role in one conversation.

    Args:
        context: The model's context.
        lane: The conversation's lane in it.
        table: The bytes of its tokens.

    Attributes:
        prompt_s: Seconds spent on evaluations that read prompt tokens, since `begin`.
    """

    def __init__(self, context: Context, lane: Lane, table: TokenTable) -> None:
        self.context = context
        self.lane = lane
        self.prompt_s = 0.0
        self._table = table
        self._top_k = 1
        self._prompt = ""
        self._answer = b""
        self._latest: Prediction | None = None
        self._latest_text = b""

    def begin(self, prompt: Sequence[Span], top_k: int, *, anew: bool = False) -> None:
        """Start a new answer.

        The prompt of the last answer is taken as it is. One that goes on from it and its answer only adds
        tokens: the answer keeps those it was made of. Any other is tokenized whole.

        Args:
            prompt: The rendered prompt.
            top_k: Length of the candidate lists.
            anew: Whether the answer must not depend on an earlier one: the prompt is tokenized whole, and
                what is kept of the last is up to `Lane.begin_anew`.
        """
        text = "".join(span.text for span in prompt)
        rest = text[len(self._prompt) :].encode() if self._prompt and text.startswith(self._prompt) else b""
        heard = next((a for a in (self._answer, self._answer.strip()) if a and rest.startswith(a)), b"")
        if anew:
            self.lane.begin_anew(self.context.model.vocabulary.tokenize_prompt(prompt))
        elif text == self._prompt:
            self.lane.again()
        elif heard:
            self.lane.retell(heard)
            self.lane.freeze()
            n_known = len(self._prompt) + len(heard.decode())
            self.lane.extend_prompt(self.context.model.vocabulary.tokenize_more(_after(prompt, n_known)))
        else:
            self.lane.begin(self.context.model.vocabulary.tokenize_prompt(prompt))
        self.prompt_s = 0.0
        self._top_k, self._prompt, self._answer, self._latest = top_k, text, b"", None

    def lend(self) -> Lane:
        """The lane, for work that is no conversation; the next prompt is tokenized whole."""
        self._prompt, self._answer, self._latest = "", b"", None
        return self.lane

    def finish(self, answer: bytes) -> None:
        """Note the final text of the answer, with which a longer conversation will go on."""
        self._answer = answer

    def predict(self, text: bytes, should_stop: Callable[[], bool]) -> Prediction:
        """This role's prediction after the answer text `text`."""
        self._come_to(text)
        reads_prompt = self.reads_prompt
        started = perf_counter()
        [logits] = self.context.predict([self.lane], should_stop)
        if reads_prompt:
            self.prompt_s += perf_counter() - started
        return self.hear(logits)

    def prepare(self, text: bytes) -> None:
        """The first half of `predict`, for batches that seats share: `Context.advance` is to run next.

        Raises:
            ContextFullError: The text does not fit.
        """
        self._come_to(text)
        self.context.require_room(self.lane)

    def hear(self, logits: NDArray[np.float32]) -> Prediction:
        """The second half: the prediction after the text that was prepared."""
        self._latest, self._latest_text = Prediction(logits, self._table, self._top_k), self.lane.text
        return self._latest

    @property
    def reads_prompt(self) -> bool:
        """Whether tokens of the prompt are still to be evaluated."""
        return self.lane.n_valid < self.lane.n_prompt

    def _come_to(self, text: bytes) -> None:
        self.follow(text)
        self.lane.retell(text)

    def follow(self, text: bytes) -> None:
        """Go along with the answer where it went on by something this role itself proposed.

        Where it did not, nothing happens yet: missing text is read when the role is asked again.
        """
        lane, latest = self.lane, self._latest
        if latest is None or self._latest_text != lane.text or not text.startswith(lane.text):
            return
        piece = text[len(lane.text) :]
        token = latest.id_of(piece) if piece else None
        if token is not None:
            lane.accept(token, piece)


def _after(spans: Sequence[Span], n: int) -> list[Span]:
    """What follows the first n characters."""
    left: list[Span] = []
    for span in spans:
        if len(span.text) > n:
            left.append(Span(span.text[n:], span.trusted))
        n = max(0, n - len(span.text))
    return left
