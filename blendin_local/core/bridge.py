"""The bridge `prefix`: another model's distribution projected onto the base's tokens.

Here: `project`, which applies the bridge the settings name, and its two parts, `merge_onto_prefixes` and
`resolve_splits`.
Not here: the bridge `bytes`, where equal byte strings meet; the formulas that use the result
(`core.blending`).

Two vocabularies split text differently: "123" may be one token of the guide and three of the base. Matching
equal byte strings alone never pairs such tokens. Crediting every candidate with all of the other model's mass
on texts that begin with it is wrong too: a one-letter candidate would win every greedy step. So each text of
the other model counts once:

- A token in both vocabularies is unchanged.
- A token that the base lacks counts for its *prefix token*, the longest token of the base that it begins
  with, if the base proposes that one (`merge_onto_prefixes`); otherwise it stays a candidate, as with
  `bytes`. Prefix tokens are computed once per pair. The sums are exact: they cover the whole vocabulary.
- A candidate of the base that is several tokens of the other model: the other model predicts what follows
  the first of these tokens, and the probability that continues to the candidate moves to it
  (`resolve_splits`). Each prediction costs an evaluation, so only a few likely prefixes of likely candidates
  are evaluated. The mass of the others stays with the prefix.

Mass is only moved, so nothing counts twice. If no token is a prefix of another, the result equals that of
`bytes`. Only the other model is projected, because the base is the model that is steered (section 4.2 of the
paper).
Sources: the design's rule "Bytes"; Vieira et al. 2024 and Phan et al. 2024 for exact byte-level
probabilities.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.candidates import Distribution, TokenTable
from blendin_local.core.decisions import Ask
from blendin_local.core.distribution import Prediction
from blendin_local.core.roles import Role
from blendin_local.settings import BlendSettings

Projection = Generator[Ask, Prediction, Distribution]
IdsByPrefix = Mapping[bytes, NDArray[np.intp]]


@dataclass(frozen=True, slots=True)
class SplitLimits:
    """Which split candidates `resolve_splits` resolves.

    Attributes:
        max_questions: Maximum number of extra predictions per step.
        min_prefix_p: Minimum probability in [0, 1] of a prefix, under the other model.
        min_candidate_p: Minimum probability in [0, 1], under the base, of a candidate beyond the prefix.
    """

    max_questions: int = 2
    min_prefix_p: float = 0.1
    min_candidate_p: float = 0.05


def project(other: Prediction, role: Role, base: Prediction, settings: BlendSettings) -> Projection:
    """Project another model's prediction onto the base's tokens with the bridge of the settings.

    Args:
        other: The other model's prediction for this step.
        role: The other model's role.
        base: The base's prediction for the same step.
        settings: `bridge` is used: `bytes` returns the candidates unchanged.

    Yields:
        Requests for predictions of the other model after further text.

    Returns:
        Probabilities by byte string, largest first. They sum to at most 1.
    """
    if settings.bridge == "bytes":
        return other.candidates
    return (yield from resolve_splits(merge_onto_prefixes(other, base), other, role, base))


def prefix_token(piece: bytes, ids: Mapping[bytes, int]) -> bytes | None:
    """The longest proper prefix of `piece` that is a token and ends at a character; None if there is none.

    A prefix that ends inside a UTF-8 character could be completed to a character that no model proposed.
    """
    for n in range(len(piece) - 1, 0, -1):
        if piece[:n] in ids and piece[n] & 0xC0 != 0x80:
            return piece[:n]
    return None


def ids_by_prefix(base: TokenTable, other: TokenTable) -> IdsByPrefix:
    """For each prefix token in the base's vocabulary, the ids of the other's tokens that are added to it."""
    if base not in other.ids_by_prefix:
        found: dict[bytes, list[int]] = {}
        for piece, token in other.ids.items():
            if piece not in base.ids and (prefix := prefix_token(piece, base.ids)):
                found.setdefault(prefix, []).append(token)
        other.ids_by_prefix[base] = {prefix: np.array(ids, dtype=np.intp) for prefix, ids in found.items()}
    return other.ids_by_prefix[base]


def merge_onto_prefixes(other: Prediction, base: Prediction) -> Distribution:
    """Add the mass of tokens that the base lacks to their prefix tokens among the base's candidates.

    g'(s) = g(s) + sum of P_g(t) over tokens t with prefix token s, for every candidate s of b; t is removed

    Args:
        other: The other model's prediction: g, its candidates, and P_g, its full softmax.
        base: The base's prediction: b, its candidates.

    Returns:
        g', probabilities by byte string, largest first.
    """
    merged = {s: p for s, p in other.candidates.items() if _counts_for(s, base) == s}
    by_prefix = ids_by_prefix(base.table, other.table)
    for s in base.candidates:
        if s in by_prefix:
            merged[s] = merged.get(s, 0.0) + other.mass(by_prefix[s])
    return _largest_first(merged)


def resolve_splits(
    merged: Distribution, other: Prediction, role: Role, base: Prediction, limits: SplitLimits | None = None
) -> Projection:
    """Move mass from prefixes to the base's candidates with which the other model continues them.

    m = P_g(p) * P_g(next token begins with r | p); g'(s) = g(s) + m and g'(p) = g(p) - m, for candidates
    s = pr of the base that are no token of the other model. m never exceeds g(p), so that g' >= 0.

    If one such candidate is a prefix of another, the longer one gets the mass that continues to it.

    Args:
        merged: g, the result of `merge_onto_prefixes`.
        other: The other model's prediction for this step: P_g, its full softmax.
        role: The other model's role.
        base: The base's prediction for the same step.
        limits: Which candidates are resolved; None for the defaults of `SplitLimits`.

    Yields:
        Requests for predictions of the other model after p.

    Returns:
        g', probabilities by byte string, largest first.
    """
    limits = limits or SplitLimits()
    lacking = [
        s
        for s, p in base.candidates.items()
        if p >= limits.min_candidate_p and s and s not in other.table.ids
    ]
    moved = dict(merged)
    pending: dict[bytes, dict[bytes, float]] = {}  # per prefix: its mass, by candidate it counts for
    for p, mass in _prefixes(b"", lacking, other):
        pending[p] = {_counts_for(p, base): mass}
    for _ in range(limits.max_questions):
        text = max(pending, key=lambda text: sum(pending[text].values()), default=None)
        if text is None or sum(pending[text].values()) < limits.min_prefix_p:
            break
        following = yield Ask(role, after=text)
        targets = [s for s in lacking if s.startswith(text) and s != text]
        shares, longer_prefixes = _shares(text, targets, following), _prefixes(text, targets, following)
        for source, mass in pending.pop(text).items():
            for s, share in shares.items():
                _move(moved, source, s, mass * share)
            for longer, share in longer_prefixes:
                now = max((s for s in targets if longer.startswith(s)), key=len, default=source)
                counts = pending.setdefault(longer, {})
                counts[now] = counts.get(now, 0.0) + mass * share
    return _largest_first(moved)


def _move(masses: dict[bytes, float], source: bytes, target: bytes, mass: float) -> None:
    """Move mass from one candidate to another, at most what the source has."""
    mass = min(mass, masses.get(source, 0.0))
    if mass > 0:
        masses[source] -= mass
        masses[target] = masses.get(target, 0.0) + mass


def _counts_for(piece: bytes, base: Prediction) -> bytes:
    """The candidate to which `merge_onto_prefixes` added a token's mass."""
    prefix = None if piece in base.table.ids else prefix_token(piece, base.table.ids)
    return prefix if prefix is not None and prefix in base.candidates else piece


def _prefixes(text: bytes, targets: Iterable[bytes], following: Prediction) -> list[tuple[bytes, float]]:
    """Texts one token longer than `text` on the way to a target, with those tokens' probabilities."""
    longer = {s[:n] for s in targets for n in range(len(text) + 1, len(s))}
    found = ((prefix, following.probability(prefix[len(text) :])) for prefix in sorted(longer))
    return [(prefix, p) for prefix, p in found if p]


def _shares(text: bytes, targets: Iterable[bytes], following: Prediction) -> dict[bytes, float]:
    """For each target the probability that the token after `text` reaches it, but no longer target."""
    shares: dict[bytes, float] = {}
    for s in sorted(targets, key=len, reverse=True):
        beyond = sum(share for longer, share in shares.items() if longer.startswith(s))
        shares[s] = max(0.0, following.mass(following.table.beginning_with(s[len(text) :])) - beyond)
    return shares


def _largest_first(distribution: Distribution) -> Distribution:
    return dict(sorted(distribution.items(), key=itemgetter(1), reverse=True))
