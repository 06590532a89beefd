"""One role in one conversation: its model's sequence, kept in sync with the prompt and the answer.

Here: `RoleContext`; it tokenizes a prompt once, extends it as the conversation grows, makes predictions,
and keeps the tokens that the role itself proposed.
Not here: the order of questions (`decode.respond`, `decode.driver`).
Source: the design's rule "Contexts".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.candidates import TokenTable
from blendin_local.core.constraint import UNCONSTRAINED, Constraint
from blendin_local.core.distribution import Prediction
from blendin_local.core.methods import Role
from blendin_local.decode.prompt_spans import after, common_length, control_positions, text_of
from blendin_local.engine.context import Context
from blendin_local.engine.sequence import EvalCounter, TokenSequence
from blendin_local.engine.vocabulary import Span, joined

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class PromptReading:
    """How far a model has read its prompt.

    Attributes:
        role: Which model.
        n_read: Tokens of the prompt that are in its context.
        n_prompt: All tokens of the prompt.
    """

    role: Role
    n_read: int
    n_prompt: int


class RoleContext:
    """One role in one conversation.

    Args:
        context: The model's context.
        sequence: The conversation's sequence in it.
        table: The bytes of its tokens.

    Attributes:
        table: The bytes of its tokens.
        is_reading: Whether it is evaluating tokens of the prompt now; another thread may look.
        unsteered: The same without the model's control vector, in a context of its own.
    """

    def __init__(self, context: Context, sequence: TokenSequence, table: TokenTable) -> None:
        self.context = context
        self.sequence = sequence
        self.is_reading = False
        self.table = table
        self.unsteered: Callable[[], RoleContext] = lambda: self
        self._top_k = 1
        self._constraint = UNCONSTRAINED
        self._prompt: tuple[Span, ...] = ()
        self._answer = b""
        self._latest: Prediction | None = None
        self._latest_text = b""
        self._ahead: dict[int, Prediction | NDArray[np.float32]] = {}  # after so many tokens of the sequence

    def begin(
        self,
        prompt: Sequence[Span],
        top_k: int,
        *,
        start: bytes = b"",
        resume: bool = False,
        fresh: bool = False,
        constraint: Constraint = UNCONSTRAINED,
    ) -> None:
        """Start a new answer.

        The same prompt as last time is reused as it is. If the prompt continues the last prompt and its
        answer, only the new part is tokenized, and the answer keeps the tokens it was generated from. Any
        other prompt is tokenized whole; if it continues the same conversation, the common prefix stays in the
        context. Two prompts are the same where they have the same text and allow control tokens in the same
        positions: user text that looks like a rendered conversation is not one.

        Args:
            prompt: The rendered prompt.
            top_k: Length of the candidate lists.
            start: What the answer begins with.
            resume: Whether the start comes from the last answer, if the prompt is the same. The common text
                then keeps its tokens, and stays in the context, up to its last safe boundary.
            fresh: Whether the answer must not depend on an earlier one: the prompt is tokenized whole, and
                what is kept of the last is up to `TokenSequence.start_fresh`.
            constraint: What the answer may be; the predictions are conditioned on it.
        """
        prompt, vocabulary = joined(prompt), self.context.model.vocabulary
        known = common_length(self._prompt, prompt)
        if fresh:
            self.sequence.start_fresh(vocabulary.tokenize_prompt(prompt))
        elif prompt == self._prompt and resume:
            self.sequence.sync_text(start)
        elif prompt == self._prompt:
            self.sequence.restart()
        elif answer := self._repeated_answer(prompt, known):
            self.sequence.sync_text(answer.encode())
            self.sequence.freeze()
            self.sequence.extend_prompt(vocabulary.tokenize_more(after(prompt, known + len(answer))))
        else:
            continues = self._continues_answer(prompt, known)
            self.sequence.begin(vocabulary.tokenize_prompt(prompt), continues=continues)
        if self.sequence.text != start:
            self.sequence.begin_answer(start)
        self.sequence.counter = EvalCounter()
        self._top_k, self._prompt, self._constraint = top_k, prompt, constraint
        self._answer, self._latest, self._ahead = b"", None, {}

    def _repeated_answer(self, prompt: tuple[Span, ...], known: int) -> str:
        """The last answer, if this prompt repeats it right after the whole last prompt; else empty."""
        answer = self._answer.decode()
        if not answer.strip() or after(self._prompt, known):
            return ""
        rest = text_of(after(prompt, known))
        space = rest[: len(rest) - len(rest.lstrip())]
        found = next((t for t in (answer, answer.strip(), space + answer.strip()) if rest.startswith(t)), "")
        return found if self._stays_text(prompt, known, known + len(found)) else ""

    def _continues_answer(self, prompt: tuple[Span, ...], known: int) -> bool:
        """Whether a prompt has the last answer where the last prompt asked for one.

        Some templates open an answer differently from how they repeat it later (with an empty thought, which
        earlier turns lack). The prompts then differ from a control string of the template on, and the
        answer follows.
        """
        answer = self._answer.decode().strip()
        if not (answer and self._prompt):
            return False
        controls = self.context.model.vocabulary.controls
        parting = [start for start, end in control_positions(controls, self._prompt) if start <= known < end]
        if not parting:
            return False
        rest = text_of(after(prompt, parting[0]))
        start = parting[0] + len(rest) - len(rest.lstrip())
        end = start + len(answer)
        follows = text_of(after(prompt, end))
        closing = end + len(follows) - len(follows.lstrip())
        return (
            rest.lstrip().startswith(answer)
            and self._stays_text(prompt, parting[0], end)
            and any(position == closing for position, _ in control_positions(controls, prompt))
        )

    def _stays_text(self, prompt: tuple[Span, ...], start: int, end: int) -> bool:
        """Whether no control token begins between two positions."""
        positions = control_positions(self.context.model.vocabulary.controls, prompt)
        return not any(start <= position < end for position, _ in positions)

    def prompt_pieces(self, following: str = "") -> list[bytes | None]:
        """The bytes of every token of the prompt and of a text that follows it.

        END stands for an end of generation, None for a silent token.
        """
        ids, table = self.sequence.ids[: self.sequence.n_prompt], self.table
        if following:
            ids = [*ids, *self.context.model.vocabulary.tokenize_following(following)]
        return [table.pieces[i] if table.speakable[i] else None for i in ids]

    def held_chars(self, prompt: Sequence[Span]) -> int:
        """How many characters of a prompt the latest prompt and its answer have in common with it."""
        prompt = joined(prompt)
        known = common_length(self._prompt, prompt)
        return known + len(self._repeated_answer(prompt, known))

    def borrow(self) -> TokenSequence:
        """The sequence, for work outside a conversation; the next prompt is tokenized from scratch."""
        self._prompt, self._answer, self._latest, self._ahead = (), b"", None, {}
        self.sequence.counter = EvalCounter()
        return self.sequence

    def follow(self, other: RoleContext) -> None:
        """Go on where another conversation of the same model is, as if everything had been read here."""
        other.keep_ahead()
        self.context.copy(other.sequence, self.sequence)
        self._top_k, self._prompt, self._constraint = other._top_k, other._prompt, other._constraint
        self._answer, self._ahead = other._answer, dict(other._ahead)
        self._latest, self._latest_text = other._latest, other._latest_text

    def finish(self, answer: bytes) -> None:
        """Note the final text of the answer, which a longer conversation will repeat."""
        self._answer = answer

    def predict(
        self,
        text: bytes,
        should_stop: Callable[[], bool],
        propose: Callable[[], Sequence[int]] = tuple,
    ) -> Prediction:
        """This role's prediction after the answer text `text`.

        Args:
            text: The answer so far.
            should_stop: Polled during long evaluations.
            propose: Called where an evaluation is needed; returns tokens that may follow, for the same call.
        """
        if known := self.known(text):
            return known
        self.prepare(text, propose())
        self.read(should_stop)
        return self.latest()

    def known(self, text: bytes) -> Prediction | None:
        """The prediction after `text`, if it was made ahead; None if an evaluation is needed."""
        self._sync(text)
        return self.latest() if len(self.sequence.ids) in self._ahead else None

    def prepare(self, text: bytes, draft: Sequence[int] = ()) -> None:
        """Get ready for an evaluation that answers the question after `text`; arguments as in `predict`.

        Raises:
            ContextFullError: The text does not fit.
        """
        self._sync(text)
        self.context.require_room(self.sequence)
        if draft:
            self.context.rewind(self.sequence, len(self.sequence.ids) - 1)
            self.sequence.draft = list(draft)

    def read(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Evaluate what is not read yet."""
        with self._timed():
            while not (ready := self.context.advance([self.sequence], should_stop)):
                pass
        self.receive(ready[self.sequence])

    def read_prompt(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Evaluate the prompt but for its last token, which is read with the answer."""
        with self._timed():
            while self.sequence.in_prompt:
                self.context.advance([self.sequence], should_stop)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Within the block tokens of the prompt may be read; how long that takes is counted."""
        reads_prompt = self.reads_prompt
        started = perf_counter()
        self.is_reading = reads_prompt
        try:
            yield
        finally:
            self.is_reading = False
        if reads_prompt:
            self.sequence.counter.prompt_s += perf_counter() - started

    def receive(self, rows: Sequence[NDArray[np.float32]]) -> None:
        """Note the logits of an evaluation, those after each of the last tokens that it read."""
        n_read = self.sequence.n_valid
        first, n_ids = n_read - len(rows) + 1, len(self.sequence.ids)
        self._ahead = {n: each for n, each in self._ahead.items() if n_ids <= n < first}
        self._ahead |= zip(range(first, n_read + 1), rows, strict=True)

    def latest(self) -> Prediction:
        """The prediction after the answer text that is in step, which was evaluated."""
        self._latest, self._latest_text = self.ahead(0), self.sequence.text
        return self._latest

    def ahead(self, n: int) -> Prediction:
        """The prediction after the answer and the first `n` tokens of the draft, which were evaluated."""
        at = len(self.sequence.ids) + n
        known = self._ahead[at]
        if not isinstance(known, Prediction):
            guessed = b"".join(self.table.pieces[token] for token in self.sequence.draft[:n])
            raw = Prediction(known, self.table, self._top_k)
            known = self._ahead[at] = self._constraint.condition(raw, self.sequence.text + guessed)
        return known

    def knows_ahead(self, n: int) -> bool:
        """Whether `ahead` can tell."""
        return len(self.sequence.ids) + n in self._ahead

    @property
    def can_draft(self) -> bool:
        """Whether a draft that did not come true can be taken back without reading much again."""
        return self.context.rewinder.drops_any_tail

    def known_ids(self, text: bytes) -> list[int]:
        """The tokens of prompt and answer, the answer being `text`."""
        self._sync(text)
        return self.sequence.ids

    def prepare_ahead(self, text: bytes) -> None:
        """Get ready to predict what follows `text`, though nobody has asked."""
        self._sync(text)
        n = len(self.sequence.draft)
        if not all(self.knows_ahead(i) for i in range(n + 1)):
            self.sequence.drop_draft()

    def draft_on(self, n: int, token: int) -> None:
        """Go on after the first `n` tokens of the draft by `token`."""
        if self.sequence.draft[n : n + 1] != [token]:
            self.sequence.shorten_draft(n)
            self._forget_stale()
            self.sequence.draft.append(token)

    def keep_ahead(self) -> None:
        """Keep what was evaluated ahead though the context is going to be used for something else."""
        for n in range(len(self.sequence.draft) + 1):
            if self.knows_ahead(n):
                self.ahead(n)

    @property
    def reads_prompt(self) -> bool:
        """Whether tokens of the prompt are still to be evaluated."""
        return self.sequence.n_valid < self.sequence.n_prompt

    def _sync(self, text: bytes) -> None:
        if text != self.sequence.text:
            self.accept_proposed(text)
            self.sequence.sync_text(text)
        self._forget_stale()

    def _forget_stale(self) -> None:
        n_valid = self.sequence.n_valid
        if max(self._ahead, default=0) > n_valid:
            self._ahead = {n: known for n, known in self._ahead.items() if n <= n_valid}

    def accept_proposed(self, text: bytes) -> None:
        """Accept the token by which the answer grew, if this role proposed it.

        Otherwise nothing happens yet: missing text is read when the role is asked again.
        """
        sequence, latest = self.sequence, self._latest
        if latest is None or self._latest_text != sequence.text or not text.startswith(sequence.text):
            return
        piece = text[len(sequence.text) :]
        token = latest.id_of(piece) if piece else None
        if token is not None:
            sequence.accept(token, piece)


def by_context(role_contexts: Mapping[Key, RoleContext]) -> list[dict[Key, RoleContext]]:
    """Role contexts in groups whose sequences are in one context, and so can share a batch."""
    groups: dict[int, dict[Key, RoleContext]] = {}
    for key, role_context in role_contexts.items():
        groups.setdefault(id(role_context.context), {})[key] = role_context
    return list(groups.values())
