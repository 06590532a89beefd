"""The methods: rules that turn what the models predict into the options for the next candidate.

Here: one generator per method. It yields the role it needs a prediction of, receives the prediction, and
returns a `Decision`. A new method is a new function with a line in `METHODS`.
Not here: the loop over steps (`decode.respond`), the equations (`core.blending`).
Source: sections 3.1 and 4.1 of the paper (Algorithm 1, lines 6 to 14).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from blendin_local.core.blending import auto_alpha, blend, greedy
from blendin_local.core.candidates import Distribution
from blendin_local.core.distribution import Prediction
from blendin_local.core.records import Source
from blendin_local.settings import BlendSettings

Role = Literal["base", "guide"]


class Options(Protocol):
    """What the next candidate is picked from."""

    def best(self) -> bytes:
        """The greedy choice."""
        ...

    def spread(self) -> Distribution:
        """The distribution to sample from, largest first."""
        ...


@dataclass(frozen=True)
class Mixture:
    """A blended distribution; `base` settles ties."""

    blended: Distribution
    base: Distribution

    def best(self) -> bytes:
        """Equation 5."""
        return greedy(self.blended, self.base)

    def spread(self) -> Distribution:
        """The blend itself."""
        return self.blended


@dataclass(frozen=True)
class Decision:
    """What a method concluded about one step.

    Attributes:
        options: What to pick from.
        base: The base's prediction, None where it was not run.
        guide: The guide's prediction, None where it was not asked.
        alpha: The guide's weight, None where there was no blend.
    """

    options: Options
    base: Prediction | None = None
    guide: Prediction | None = None
    alpha: float | None = None

    def source(self, piece: bytes) -> Source:
        """How `piece` came about, in the words of the step record."""
        if self.base is None:
            return "guide"
        if self.guide is None:
            return "base"
        return "kept" if piece == self.base.top else "changed"

    def proposer(self, piece: bytes) -> Role:
        """The model that put more weight behind `piece`: it finishes its characters and owns its END."""
        if self.base is None or self.guide is None:
            return "guide" if self.base is None else "base"
        alpha = 0.5 if self.alpha is None else self.alpha
        by_guide = alpha * self.guide.candidates.get(piece, 0.0)
        by_base = (1 - alpha) * self.base.candidates.get(piece, 0.0)
        return "guide" if by_guide > by_base else "base"


Deliberation = Generator[Role, Prediction, Decision]
Method = Callable[[BlendSettings], Deliberation]


def base(_: BlendSettings) -> Deliberation:
    """The base alone: w = argmax P_b(w)."""
    prediction = yield "base"
    return Decision(prediction, base=prediction)


def guide(_: BlendSettings) -> Deliberation:
    """The guide alone: w = argmax P_g(w)."""
    prediction = yield "guide"
    return Decision(prediction, guide=prediction)


def _settled(prediction: Prediction) -> Decision:
    """The base is sure (u >= tau): its own top candidate, the only option also when sampling."""
    only = {prediction.top: 1.0}
    return Decision(Mixture(only, only), base=prediction)


def nudging(settings: BlendSettings) -> Deliberation:
    """NUDGING, section 3.1: where u = max P_b(w) < tau, the guide's top candidate is taken."""
    b = yield "base"
    if b.top_p >= settings.threshold:
        return _settled(b)
    g = yield "guide"
    return Decision(Mixture(g.candidates, b.candidates), base=b, guide=g, alpha=1.0)


def blendin(settings: BlendSettings) -> Deliberation:
    """BlendIn, section 4.1: where u = max P_b(w) < tau, both distributions are blended.

    alpha is eq. 3 unless the settings give a number; the blend is eq. 4.
    """
    b = yield "base"
    if b.top_p >= settings.threshold:
        return _settled(b)
    g = yield "guide"
    alpha = settings.alpha
    if alpha is None:
        alpha = auto_alpha(b.candidates, g.candidates, settings.agreement_bonus)
    mixture = Mixture(blend(b.candidates, g.candidates, alpha), b.candidates)
    return Decision(mixture, base=b, guide=g, alpha=alpha)


METHODS: Mapping[str, Method] = {"base": base, "guide": guide, "nudging": nudging, "blendin": blendin}

ROLES: Mapping[str, tuple[Role, ...]] = {"base": ("base",), "guide": ("guide",)}
"""The models a method needs, where it does not need both."""


def roles_of(method: str) -> tuple[Role, ...]:
    """The roles that `method` may ask."""
    return ROLES.get(method, ("base", "guide"))
