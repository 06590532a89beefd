"""Drafts: guesses of how an answer goes on, evaluated before they are asked about.

Here: `Drafter`, which proposes a draft for one answer where that pays, and counts what came of it.
Not here: whether a draft pays (`core.drafting`), who evaluates it (`decode.driver`, `decode.scheduler`),
where predictions made ahead are kept (`decode.role_context`).
Source: speculative decoding (Leviathan et al., ICML 2023) and prompt lookup decoding; here a draft answers
the questions of `respond`, so that it works for every method and changes none.

The guide guesses greedily. What it predicts on its way is what a blend needs where the base turns out unsure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from blendin_local.core.candidates import END
from blendin_local.core.constraint import UNCONSTRAINED, Constraint
from blendin_local.core.distribution import Prediction
from blendin_local.core.drafting import AcceptanceRates, Plan
from blendin_local.core.ngrams import continuation
from blendin_local.core.records import DraftSource
from blendin_local.core.text import is_whole
from blendin_local.decode.role_context import RoleContext
from blendin_local.settings import Draft

MAX_DRAFT = 15  # tokens; with the one before them, as many rows of logits as a context has room for
BYTES_PER_TOKEN = 6  # of repeated text that becomes a draft
WORTH_IT = 0.97  # a draft is made if the expected time per token is below this share of that without one
RISKED_SHARE = 0.01  # of the time of an answer that its drafts may lose
RISKED_EVALUATIONS = 1.5  # and this many evaluations of one token
SKIPPED = 8  # steps before a source is considered again where no draft of it could pay: costs change slowly
MIN_MEASURED = 4  # evaluations of one token before anything is planned
MIN_EVALUATION_S = 0.001  # below this, planning takes as long as what it saves

Proposal = Generator[RoleContext, None, list[int]]


@dataclass(frozen=True, slots=True)
class Guess:
    """One token of a draft: where it came from, and the guide's probability or the bytes that agree."""

    token: int
    source: DraftSource
    sureness: float


class Drafter:
    """Proposes drafts for one answer.

    Args:
        mode: Who may guess; `auto` lets both, and only where it pays.
        checked: The role context of the model that is asked first at every step; it evaluates the drafts.
        guide: The guide's, None if the method does not ask one beside the base.
        prompt: The prompt of the checked model, in which the answer may find its text again.
        rates: How often guesses came true so far; it learns from this answer.
        max_tokens: The largest number of tokens in the answer, None for no limit.
        constraint: What the answer may be.

    Attributes:
        checked: As given.
        drafted: How many tokens were guessed, by source.
        accepted: How many of them came true.
    """

    def __init__(
        self,
        mode: Draft,
        checked: RoleContext,
        guide: RoleContext | None,
        *,
        prompt: bytes,
        rates: AcceptanceRates,
        max_tokens: int | None = None,
        constraint: Constraint = UNCONSTRAINED,
    ) -> None:
        self.drafted: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self._forced = mode != "auto"
        self._repeats = mode != "guide"
        self.checked = checked
        self._guide = guide if mode != "ngram" and guide is not None and guide.can_draft else None
        self._prompt = prompt
        self._rates = rates
        self._draft: Sequence[Guess] = ()
        self._n_skipped: Counter[DraftSource] = Counter()  # steps that are still to be skipped
        self._repeated, self._agreeing = b"", 0  # how the text goes on if it repeats itself
        self._text = checked.sequence.text  # after which the last draft was made
        self._account = Account(checked, guide)
        self._n_ids = len(checked.sequence.ids)
        self._constraint = constraint
        n_left = None if max_tokens is None or constraint is not UNCONSTRAINED else max_tokens
        self._last = math.inf if n_left is None else self._n_ids + n_left - 1

    def propose(self, text: bytes, n_together: int = 1, room: int = MAX_DRAFT) -> Proposal:
        """The tokens to evaluate after `text`, together with the question about it.

        Args:
            text: The answer so far, about which the checked model is asked; an evaluation is needed.
            n_together: How many answers are evaluated in the same call.
            room: How many tokens the draft may have.

        Yields:
            The guide's role context, whenever it is to evaluate what it has not read (`RoleContext.read`).

        Returns:
            Token ids of the checked model; empty where no draft pays.
        """
        self._look_back(text, n_together)
        left = min(self._last, self.checked.context.ctx_size) - len(self.checked.sequence.ids)
        tried = self.checked.context.costs.longest
        room = int(min(room, MAX_DRAFT, left, 2 * tried - n_together))  # no leap to numbers of unknown cost
        if room < 1 or not is_whole(text) or self.checked.reads_prompt:
            return []
        if self._repeats:
            self._repeated, self._agreeing = continuation(self._prompt + text, BYTES_PER_TOKEN * (room + 1))
        if self._forced or self._may_try(n_together):
            self._draft = yield from self._best(text, n_together, room)
        if self._draft:
            self.drafted.update(guess.source for guess in self._draft)
            self._account.drafts = True
        return [guess.token for guess in self._draft]

    def _may_try(self, n_together: int) -> bool:
        """Whether evaluations are known to be worth saving."""
        costs = self.checked.context.costs
        return costs.n_measured(n_together) >= MIN_MEASURED and costs.seconds(n_together) > MIN_EVALUATION_S

    def _best(self, text: bytes, n_together: int, room: int) -> Generator[RoleContext, None, Sequence[Guess]]:
        """The draft with the least expected time per token: of repeated text, of the guide, or none."""
        repeats = bool(self._repeated) and self._is_considered("ngram")
        guide = self._guide if self._is_considered("guide") else None
        if not repeats and guide is None:
            return []
        seconds = self.checked.context.costs.seconds
        plan = Plan(seconds, n_together, asked_s=self._account.asked_s)
        best = math.inf if self._forced else WORTH_IT * plan.seconds_per_token(())
        draft = self._of_repeated(plan, room, best) if repeats else []
        if draft:
            best = plan.seconds_per_token(self._rates_of(draft))
        if guide is None or (draft and self._forced) or (guide.reads_prompt and not self._forced):
            return draft
        costs = guide.context.costs
        plan = Plan(seconds, n_together, costs.seconds(1), self._account.asked_s, reads_along=True)
        mean, room = self._rates.mean("guide"), self._bearable(plan, room)
        n = plan.best_length([mean] * room, at_least=1)
        if not n or plan.seconds_per_token([mean] * n) >= best:
            self._n_skipped["guide"] = SKIPPED
            return draft
        return (yield from self._of_guide(text, plan, room)) or draft

    def _is_considered(self, source: DraftSource) -> bool:
        """Whether drafts of a source may pay; a few steps after none could, it is looked at again."""
        if self._n_skipped[source]:
            self._n_skipped[source] -= 1
            return False
        return True

    def _bearable(self, plan: Plan, room: int) -> int:
        """The longest draft whose failure the answer can bear."""
        return room if self._forced else plan.longest_within(self._account.left_s, room)

    def _of_guide(self, text: bytes, plan: Plan, room: int) -> Generator[RoleContext, None, list[Guess]]:
        """Let the guide go on greedily, as long as the next guess is expected to pay."""
        guide, mean = self._guide, self._rates.mean("guide")
        assert guide is not None
        guide.prepare_ahead(text)
        pieces: list[bytes] = []
        probabilities: list[float] = []
        rates: list[float] = []
        forced = b""
        while not forced and len(rates) < room and guide.context.ctx_size > guide.sequence.n_tokens:
            if not guide.knows_ahead(len(rates)):
                missed = guide.sequence.n_unread > 1
                yield guide
                if missed:
                    self._account.forgive_guide()
            prediction = guide.ahead(len(rates))
            if not _is_guess(prediction):
                break
            pieces.append(prediction.top)
            probabilities.append(prediction.top_p)
            rates.append(self._rates.made("guide", prediction.top_p))
            later = [*rates, *[mean] * (room - len(rates))]
            if plan.best_length(later, at_least=len(rates)) == len(rates):
                break
            guide.draft_on(len(rates) - 1, prediction.top_id)
            forced = self._constraint.forced(text + b"".join(pieces))
        n_made = len(rates)
        if forced:
            return self._with_forced(plan, pieces, probabilities, forced)[:room]
        guesses = self._in_tokens(pieces, probabilities)[:room]
        return guesses[: plan.best_length(self._rates_of(guesses), at_least=self._forced, n_made=n_made)]

    def _with_forced(
        self, plan: Plan, pieces: Sequence[bytes], probabilities: Sequence[float], forced: bytes
    ) -> list[Guess]:
        """Guesses of which the last leaves one way to go on: with all of that, or without that guess.

        After the guess alone nobody asks a question, so that its prediction would be of no use.
        """
        guesses = self._in_tokens([*pieces, forced], [*probabilities, 1.0])
        n = plan.best_length(self._rates_of(guesses), at_least=self._forced, n_made=len(pieces))
        return guesses if n == len(guesses) else self._in_tokens(pieces[:-1], probabilities[:-1])[:n]

    def _in_tokens(self, pieces: Sequence[bytes], probabilities: Sequence[float]) -> list[Guess]:
        """The guide's text in tokens of the checked model, each as sure as the least sure piece in it."""
        ends = [0]
        for piece in pieces:
            ends.append(ends[-1] + len(piece))
        guesses, start = [], 0
        pieces_of, spans = self.checked.table.pieces, list(zip(probabilities, ends, ends[1:], strict=False))
        for token in self.checked.sequence.draft_tokens(b"".join(pieces)):
            end = start + len(pieces_of[token])
            inside = [p for p, first, last in spans if first < end and start < last]
            guesses.append(Guess(token, "guide", min(inside, default=0.0)))
            start = end
        return guesses

    def _of_repeated(self, plan: Plan, room: int, limit: float) -> list[Guess]:
        """What followed the last occurrence of the text's end; empty unless it takes under `limit` per token.

        It is cut into tokens only where that could be: with the best rate there is after the first token.
        """
        room, agreeing = self._bearable(plan, room), self._agreeing
        surest = [self._rates.best("ngram")] * room
        if not _reaches(plan, surest, limit):
            self._n_skipped["ngram"] = SKIPPED
            return []
        if not _reaches(plan, [self._rates.rate("ngram", agreeing), *surest[1:]], limit):
            return []
        tokens, guesses = self.checked.sequence.draft_tokens(self._repeated), []
        for token in tokens[: max(1, len(tokens) - 1)][:room]:  # the last token may be cut
            guesses.append(Guess(token, "ngram", agreeing))
            agreeing += len(self.checked.table.pieces[token])  # where this one comes true, more bytes agree
        rates = self._rates_of(guesses)
        n = plan.best_length(rates, at_least=1)
        return guesses[:n] if plan.seconds_per_token(rates[:n]) < limit else []

    def _rates_of(self, guesses: Sequence[Guess]) -> list[float]:
        return [self._rates.rate(guess.source, guess.sureness) for guess in guesses]

    def _look_back(self, text: bytes, n_together: int) -> None:
        """Learn what came of the last draft, or of the guess that would have been one."""
        n_ids = len(self.checked.known_ids(text))
        self.finish()
        said = text[len(self._text) :]
        if not self._draft and self._repeated and said:  # it could have been a draft
            came_true = self._repeated.startswith(said[: len(self._repeated)])
            self._rates.note("ngram", self._agreeing, accepted=came_true)
        self._account.close_round(n_ids - self._n_ids, n_together)
        self._draft, self._repeated, self._n_ids, self._text = (), b"", n_ids, text

    def finish(self) -> None:
        """Count what came of the last draft, with which the answer went on or ended.

        By its bytes: where a word of the guide follows, the tokens before it may be cut anew.
        """
        said = self.checked.sequence.text[len(self._text) :]
        for guess in self._draft:
            piece = self.checked.table.pieces[guess.token]
            if not said:
                break
            self._rates.note(guess.source, guess.sureness, accepted=said.startswith(piece))
            if not said.startswith(piece):
                break
            self.accepted[guess.source] += 1
            said = said[len(piece) :]


class Account:
    """What drafts have gained or lost in one answer, in seconds inside llama.cpp.

    Args:
        checked: The role context that evaluates the drafts.
        guide: The guide's.

    Attributes:
        drafts: Whether a draft was made since the last round was closed.
    """

    def __init__(self, checked: RoleContext, guide: RoleContext | None) -> None:
        self.drafts = False
        self._checked = checked
        self._guide = guide
        self._checked_s, self._guide_s = self._now()
        self._lost_s = self._spent_s = 0.0
        self._lazy_guide_s = 0.0
        self._lazy_tokens = 0

    def _now(self) -> tuple[float, float]:
        guide = self._guide.sequence.counter if self._guide else None
        return self._checked.sequence.counter.decode_s, guide.decode_s - guide.prompt_s if guide else 0.0

    @property
    def asked_s(self) -> float:
        """What a step costs the guide on average, where no draft was made."""
        return self._lazy_guide_s / self._lazy_tokens if self._lazy_tokens else 0.0

    @property
    def left_s(self) -> float:
        """How much the next draft may lose; what earlier ones gained is added."""
        risked = RISKED_SHARE * self._spent_s + RISKED_EVALUATIONS * self._checked.context.costs.seconds(1)
        return risked - self._lost_s

    def forgive_guide(self) -> None:
        """What the guide has read since the last round it would have read without drafts too, when asked."""
        before, (_, self._guide_s) = self._guide_s, self._now()
        self._lazy_guide_s += self._guide_s - before

    def close_round(self, n_tokens: int, n_together: int) -> None:
        """Since the last round, the answer went on by so many tokens."""
        before, (self._checked_s, self._guide_s) = (self._checked_s, self._guide_s), self._now()
        checked_s, guide_s = self._checked_s - before[0], self._guide_s - before[1]
        self._spent_s += checked_s + guide_s
        if self.drafts:
            each = self._checked.context.costs.seconds(n_together) / n_together + self.asked_s
            self._lost_s += checked_s + guide_s - n_tokens * each
        elif n_tokens:
            self._lazy_guide_s += guide_s
            self._lazy_tokens += n_tokens
        self.drafts = False


def _reaches(plan: Plan, rates: Sequence[float], limit: float) -> bool:
    """Whether a draft of these guesses, or of the first of them, takes less time per token than `limit`."""
    return bool(rates) and plan.seconds_per_token(rates[: plan.best_length(rates, at_least=1)]) < limit


def _is_guess(prediction: Prediction) -> bool:
    """Whether the guide suggests a token with which the answer goes on."""
    return prediction.top != END and not prediction.silent
