"""The interface of a method: what it may ask, what it knows of the answer, and its decision about a step.

Here: the records between `core.methods` and `decode.respond`: `Ask`, `AnswerState`, `Decision` and its
`Options`.
Not here: the rules themselves (`core.methods`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Set
from dataclasses import dataclass, replace
from typing import Protocol

from blendin_local.core.blending import defer, greedy
from blendin_local.core.candidates import Distribution
from blendin_local.core.distribution import Prediction
from blendin_local.core.guide_pool import GuidePool
from blendin_local.core.records import Source
from blendin_local.core.roles import Role
from blendin_local.settings import BlendSettings


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for the prediction of `role` after the answer so far followed by the bytes `after`."""

    role: Role
    after: bytes = b""


class Options(Protocol):
    """What the next candidate is picked from."""

    def best(self) -> bytes:
        """The greedy choice."""
        ...

    def distribution(self) -> Distribution:
        """The distribution to sample from, largest first; a single candidate where nothing is sampled."""
        ...

    def alternatives(self) -> Distribution:
        """What a penalty on repetition chooses among, largest first."""
        ...


@dataclass(frozen=True)
class Mixture:
    """A blended distribution; `base` settles ties."""

    blended: Distribution
    base: Distribution

    def best(self) -> bytes:
        """Equation 5."""
        return greedy(self.blended, self.base)

    def distribution(self) -> Distribution:
        """The blend itself."""
        return self.blended

    def alternatives(self) -> Distribution:
        """The blend itself."""
        return self.blended


def certain(piece: bytes) -> Mixture:
    """No choice, also when sampling."""
    one = {piece: 1.0}
    return Mixture(one, one)


@dataclass(frozen=True)
class TopOf:
    """A model's likeliest candidate, also when sampling; only a penalty can put another in its place."""

    model: Prediction

    def best(self) -> bytes:
        """Its top candidate."""
        return self.model.top

    def distribution(self) -> Distribution:
        """That candidate alone."""
        return {self.model.top: 1.0}

    def alternatives(self) -> Distribution:
        """All candidates of the model."""
        return self.model.candidates


@dataclass(frozen=True)
class Redrawn:
    """Two draws: one of `first`, and where that is not among the accepted ones, one of `second` instead.

    Only for answers that are sampled. How both are drawn is in `core.sampling`.

    Attributes:
        first: Probabilities by byte string, largest first, not empty.
        accepted: The candidates of `first` that are taken if they are drawn.
        second: Like `first`.
    """

    first: Distribution
    accepted: Set[bytes]
    second: Distribution

    @property
    def rejected_mass(self) -> float:
        """R, the probability in [0, 1] that the second draw is made, at temperature 1."""
        kept = sum(p for s, p in self.first.items() if s in self.accepted)
        return max(0.0, 1.0 - kept / sum(self.first.values()))

    def best(self) -> bytes:
        """The likeliest outcome of the two draws."""
        return greedy(self.distribution(), self.first)

    def distribution(self) -> Distribution:
        """The outcome of the two draws at temperature 1, without other filters: mass of a drawn candidate.

        P(s) = [s accepted] * f(s) + R * g(s), where f and g are the two distributions, normalised
        """
        total = sum(self.first.values())
        kept = {s: p / total for s, p in self.first.items() if s in self.accepted}
        return defer(kept, self.second)

    def alternatives(self) -> Distribution:
        """The same."""
        return self.distribution()

    def each(self, change: Callable[[Distribution], Distribution]) -> Redrawn:
        """The same with both distributions changed; which candidates are accepted stays."""
        return replace(self, first=change(self.first), second=change(self.second))


@dataclass(frozen=True)
class Decision:
    """What a method concluded about one step.

    Attributes:
        options: What to pick from.
        base: The base's prediction, None if it was not run.
        guide: The guide's prediction, None if it was not asked; of several guides, what they say together.
        alpha: The guide's weight, None if there was no blend; of several guides, that of all together.
        untuned: The third model's prediction, None if it was not asked.
        draft: The guide's draft of the text after this step, in pieces; see `AnswerState.draft`.
        of_base: What of each candidate's probability is from the base; None for (1 - alpha) * b.
    """

    options: Options
    base: Prediction | None = None
    guide: Prediction | None = None
    alpha: float | None = None
    untuned: Prediction | None = None
    draft: tuple[bytes, ...] = ()
    of_base: Distribution | None = None

    @property
    def asked(self) -> bool:
        """Whether the guide was consulted beside the base."""
        return self.base is not None and self.guide is not None

    @property
    def predictions(self) -> dict[Role, Prediction]:
        """The prediction of every model that was asked."""
        guides: dict[Role, Prediction | None] = {"guide": self.guide}
        if isinstance(self.guide, GuidePool):
            guides = dict(self.guide.members)
        every: dict[Role, Prediction | None] = {"base": self.base, **guides, "untuned": self.untuned}
        return {role: prediction for role, prediction in every.items() if prediction is not None}

    @property
    def silent(self) -> tuple[Role, ...]:
        """The models that were asked and made no suggestion."""
        return tuple(role for role, prediction in self.predictions.items() if prediction.silent)

    @property
    def log_normalizer(self) -> float:
        """Log Z of the options: log P(s) + log Z is the logit of s (natural logarithms).

        Of one model it is the model's own, so these are its logits. A blend has none; it gets the average
        (1 - alpha) * log Z_b + alpha * log Z_g, which is a model's own where alpha is 0 or 1.
        """
        if self.base is None:
            assert self.guide is not None, "a decision has at least one prediction"
            return self.guide.log_normalizer
        if self.guide is None or not self.alpha:
            return self.base.log_normalizer
        if self.alpha == 1:
            return self.guide.log_normalizer
        return (1 - self.alpha) * self.base.log_normalizer + self.alpha * self.guide.log_normalizer

    def source(self, piece: bytes) -> Source:
        """How `piece` came about, in the words of the step record."""
        if self.base is None:
            return "guide"
        if self.guide is None:
            return "base"
        return "kept" if piece == self.base.top else "changed"

    def proposer(self, piece: bytes) -> Role:
        """The model with the larger weighted probability of `piece`.

        That model completes unfinished characters of the piece, and its token is used if the piece is END. If
        the piece is a token of neither, it is the model with the larger alpha. A guide that makes no
        suggestion is never the proposer.
        """
        if self.base is None:
            return "guide"
        if self.guide is None or self.guide.silent:
            return "base"
        alpha = 0.5 if self.alpha is None else self.alpha
        by_guide = alpha * self.guide.candidates.get(piece, 0.0)
        by_base = (1 - alpha) * self.base.candidates.get(piece, 0.0)
        if self.of_base is not None:
            by_base = self.of_base.get(piece, 0.0)
        if (by_guide, alpha) <= (by_base, 1 - alpha):
            return "base"
        return self.guide.speaker(piece) if isinstance(self.guide, GuidePool) else "guide"


@dataclass(frozen=True, slots=True)
class AnswerState:
    """What a method may know of the answer so far.

    Attributes:
        steps: Number of steps decided so far.
        asked: The number of these at which the guide was asked.
        draft: The rest of the guide's draft after the last step, in pieces; empty without a draft.
        sampled: Whether candidates are drawn at random (temperature above 0).
        guides: The guides that there are to ask, in order.
    """

    steps: int = 0
    asked: int = 0
    draft: tuple[bytes, ...] = ()
    sampled: bool = False
    guides: tuple[Role, ...] = ("guide",)

    def after(self, decision: Decision) -> AnswerState:
        """The state once this step is made."""
        asked = self.asked + decision.asked
        return replace(self, steps=self.steps + 1, asked=asked, draft=decision.draft)


MethodSteps = Generator[Ask, Prediction, Decision]

Method = Callable[[BlendSettings, AnswerState], MethodSteps]
"""A rule: one generator per step, made from the settings and what is known of the answer."""
