"""What drafts of the guide would gain on machines with other costs: recorded answers, played again.

Here: `Place`, one step of a recorded answer; `Costs`; the rules `fixed` and `OwnRule`; `play`, what an answer
takes under a rule.
Not here: recording and printing (`benchmarks/drafting.py`).

One step is one token of the base. The guide's cost of n tokens at once has the shape of the base's. What the
guide would have guessed after a wrong guess is not in a record; its guesses along the real answer stand in.
Guesses of repeated text (n-grams) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from blendin_local.core.drafting import AcceptanceRates, Plan
from blendin_local.decode.drafter import MAX_DRAFT, WORTH_IT

CURVES: dict[str, Mapping[int, float]] = {
    "two cores, demo base": {1: 1, 2: 1.78, 4: 2.25, 8: 3.25, 16: 4.96},
    "two cores, 1.5B": {1: 1, 2: 1.72, 3: 2.45, 4: 2.86, 6: 4.13, 8: 6.67, 16: 8.30},
    "many cores (assumed)": {1: 1, 2: 1.15, 4: 1.4, 8: 1.9, 16: 3.0},
    "GPU (assumed)": {1: 1, 2: 1.03, 4: 1.06, 8: 1.1, 16: 1.2},
}
"""C(n) / C(1) for the base: the first two measured."""


@dataclass(frozen=True)
class Place:
    """One step of an answer.

    Attributes:
        probability: What the guide gave its guess.
        came_true: Whether the answer went on that way.
        asked: Whether the guide was asked.
    """

    probability: float
    came_true: bool
    asked: bool


Answer = Sequence[Place]


@dataclass(frozen=True)
class Costs:
    """What evaluations cost, in evaluations of one token by the base.

    Attributes:
        points: C(n) by n, beginning with C(1) = 1.
        guide: c, what one token costs the guide.
    """

    points: Mapping[int, float]
    guide: float

    def base(self, n: int) -> float:
        """C(n): straight lines between the points, and the last one goes on."""
        known = sorted(self.points)
        above = next((i for i, size in enumerate(known) if size >= n), len(known) - 1)
        if known[above] == n:
            return self.points[n]
        low, high = known[above - 1], known[above]
        slope = (self.points[high] - self.points[low]) / (high - low)
        return self.points[low] + slope * (n - low)

    def of_guide(self, n: int) -> float:
        """What `n` tokens at once cost the guide."""
        return self.guide * self.base(n)


@dataclass(frozen=True)
class Draft:
    """What a rule decided.

    Attributes:
        proposed: How many guesses the guide made.
        kept: How many of them the base evaluates.
    """

    proposed: int = 0
    kept: int = 0


Rule = Callable[[Answer], Draft]
"""From the places to come to the next draft; of an answer's last token there is none."""


def fixed(k: int) -> Rule:
    """Always `k` guesses."""

    def rule(ahead: Answer) -> Draft:
        n = min(k, len(ahead) - 1)
        return Draft(n, n)

    return rule


class OwnRule:
    """The rule of `decode.drafter` for the guide's guesses: it stops where the next one does not pay.

    Args:
        costs: What evaluations cost.
        asked_s: What a step costs the guide on average without drafts.
    """

    def __init__(self, costs: Costs, asked_s: float) -> None:
        self.rates = AcceptanceRates()
        self._plan = Plan(costs.base, guess_s=costs.guide, asked_s=asked_s, reads_along=True)

    def __call__(self, ahead: Answer) -> Draft:
        """Decide on a draft, and learn what came of it."""
        plan, mean, room = self._plan, self.rates.mean("guide"), min(MAX_DRAFT, len(ahead) - 1)
        if room < 1:
            return Draft()
        n = plan.best_length([mean] * room, at_least=1)
        if plan.seconds_per_token([mean] * n) >= WORTH_IT * plan.seconds_per_token(()):
            return Draft()
        rates: list[float] = []
        for place in ahead[:room]:
            rates.append(self.rates.made("guide", place.probability))
            later = [*rates, *[mean] * (room - len(rates))]
            if plan.best_length(later, at_least=len(rates)) == len(rates):
                break
        draft = Draft(len(rates), plan.best_length(rates, n_made=len(rates)))
        for place in ahead[: draft.kept]:
            self.rates.note("guide", place.probability, accepted=place.came_true)
            if not place.came_true:
                break
        return draft


@dataclass(frozen=True)
class Played:
    """What answers took.

    Attributes:
        steps: How many steps they have.
        spent: Time in evaluations of one token by the base, which alone would take `steps`.
        drafted: Guesses that the base evaluated.
        accepted: Those that came true.
    """

    steps: int = 0
    spent: float = 0.0
    drafted: int = 0
    accepted: int = 0

    @property
    def speed(self) -> float:
        """Tokens/s relative to the base alone."""
        return self.steps / self.spent

    def __add__(self, other: Played) -> Played:
        return Played(
            self.steps + other.steps,
            self.spent + other.spent,
            self.drafted + other.drafted,
            self.accepted + other.accepted,
        )


def play(answer: Answer, costs: Costs, rule: Rule) -> Played:
    """One answer under a rule: what is evaluated, by whom, and what it costs.

    The guide reads what it has not read when it is asked or guesses, in one call, and its own guesses one by
    one; what it predicted while guessing is known when it is asked.
    """
    at = drafted = accepted = 0
    read = -1  # after how many steps the guide has predicted what follows; at first, not even after none
    spent = 0.0
    while at < len(answer):
        draft = rule(answer[at:])
        if draft.proposed:
            spent += costs.of_guide(at - read) if at > read else 0.0
            spent += (draft.proposed - 1) * costs.guide
        guessed = answer[at : at + draft.kept]
        true = next((i for i, place in enumerate(guessed) if not place.came_true), draft.kept)
        spent += costs.base(1 + draft.kept)
        if draft.proposed:
            read = max(read, at + min(true, draft.proposed - 1))
        for i in range(at, at + true + 1):
            if answer[i].asked and read < i:
                spent += costs.of_guide(i - read)
                read = i
        at, drafted, accepted = at + true + 1, drafted + draft.kept, accepted + true
    return Played(len(answer), spent, drafted, accepted)


def play_all(answers: Sequence[Answer], costs: Costs, rule: Rule) -> Played:
    """All answers, one after another; a rule that learns goes on learning."""
    return sum((play(answer, costs, rule) for answer in answers), Played())


@dataclass(frozen=True)
class Prediction:
    """What drafts would bring at one curve and one cost of the guide.

    Attributes:
        lazy: Without drafts.
        best_k: The fixed length with the highest speed; 0 if no draft is better.
        best_fixed: The answers with that length.
        own: The answers with the stopping rule.
    """

    lazy: Played
    best_k: int
    best_fixed: Played
    own: Played


def predict(answers: Sequence[Answer], costs: Costs) -> Prediction:
    """All rules on the same answers."""
    by_length = {k: play_all(answers, costs, fixed(k)) for k in range(MAX_DRAFT + 1)}
    best_k = max(by_length, key=lambda k: by_length[k].speed)
    lazy = by_length[0]
    own = play_all(answers, costs, OwnRule(costs, lazy.spent / lazy.steps - 1))
    return Prediction(lazy, best_k, by_length[best_k], own)
