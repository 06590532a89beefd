"""Several guides that speak as one.

Here: `GuidePool`, a prediction made of those of all guides, and `join_guides`, which makes one of several.
Not here: the formulas (`core.blending`), who asks the guides (`core.guides`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blendin_local.core.blending import guide_shares, likeliest, pool
from blendin_local.core.candidates import Distribution
from blendin_local.core.distribution import Prediction
from blendin_local.core.roles import Role
from blendin_local.errors import UsageError


class GuidePool(Prediction):
    """What several guides predict together: the mean of their distributions, weighted by confidence.

    A guide that makes no suggestion has no share. If none makes one, the pool makes none.

    Args:
        members: The prediction of each guide.
        weights: Their weights, in the order of `members`.

    Attributes:
        members: As given.
        shares: The share v_i of each guide, which sum to 1.
        top: The likeliest candidate of the mean.
        top_p: Its probability there.
        silent: Whether no guide makes a suggestion.
        legal_mass: The mean of the guides' legal masses.
    """

    def __init__(self, members: Mapping[Role, Prediction], weights: Sequence[float]) -> None:
        self.members = dict(members)
        weight_of = dict(zip(members, weights, strict=True))
        heard = {role: each for role, each in members.items() if not each.silent}
        self.silent = not heard
        heard = heard or self.members
        peaks = [max(each.candidates.values(), default=0.0) for each in heard.values()]
        shares = guide_shares(peaks, [weight_of[role] for role in heard])
        self.shares: dict[Role, float] = dict.fromkeys(members, 0.0) | dict(zip(heard, shares, strict=True))
        self._joint = self.mean({role: each.candidates for role, each in heard.items()})
        first = next(iter(heard.values()))
        self.top = likeliest(self._joint) if self._joint else first.top
        self.top_p = self._joint.get(self.top, 0.0)
        masses = [(self.shares[role], each.legal_mass) for role, each in heard.items()]
        known = [share * mass for share, mass in masses if mass is not None]
        self.legal_mass = sum(known) if known else None

    def mean(self, distributions: Mapping[Role, Distribution]) -> Distribution:
        """The mean of distributions of the guides, weighted by their shares."""
        return pool(list(distributions.values()), [self.shares[role] for role in distributions])

    @property
    def candidates(self) -> Distribution:
        """The mean over the union of all lists, largest first; it can be longer than one list."""
        return self._joint

    def speaker(self, piece: bytes) -> Role:
        """The guide with the largest weighted probability of `piece`; of equal ones the first."""

        def said(role: Role) -> tuple[float, float]:
            share = self.shares[role]
            return share * self.members[role].candidates.get(piece, 0.0), share

        return max((role for role, each in self.members.items() if self.silent or not each.silent), key=said)

    @property
    def log_normalizer(self) -> float:
        """The mean of the guides' log Z, as a mean has no logits of its own."""
        return sum(share * self.members[role].log_normalizer for role, share in self.shares.items() if share)

    def confidence(self, temperature: float) -> float:
        """Not known: a temperature is fitted for one model."""
        raise UsageError(
            f"alpha calibrated works with one guide: no temperature ({temperature:g}) is fitted for several",
            "choose --alpha auto",
        )

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of `Prediction`
        raise AttributeError(f"several guides have no common {name}")


def join_guides(members: Mapping[Role, Prediction], weights: Sequence[float] = ()) -> Prediction:
    """The prediction of one guide as it is, or of several as one.

    Args:
        members: The prediction of each guide, at least one.
        weights: Their weights, in that order; empty for equal ones.
    """
    if len(members) == 1:
        return next(iter(members.values()))
    return GuidePool(members, weights or [1.0] * len(members))
