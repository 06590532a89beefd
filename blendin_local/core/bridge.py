"""The bridge `prefix`: a helper's distribution told in the base's words.

Here: `gather` and `resolve_splits`, and `project`, which does what the settings say.
Not here: equal strings (`bytes`), which meet by being equal; the formulas that read the result
(`core.blending`).

Two vocabularies cut text differently: "123" may be one token of the guide and three of the base. By equal
strings alone such words never meet. To credit every candidate with all of the other model's mass on texts
that begin with it does not do either: a one-letter candidate would take nearly everything, and win every
greedy step. So each of the helper's texts counts once, where the base would begin to say it:

- A token that both have is itself.
- One that the base lacks counts for its home, the longest token of the base it begins with, where the base
  proposes that (`gather`); else it stays a candidate of its own, as in `bytes`. Homes are found once per
  pair, and the sums over them are exact, over the whole vocabulary.
- A candidate of the base that the helper lacks is reached by the helper in several tokens. Its first ones are
  followed by asking the helper what comes after them, and the mass that goes on to the candidate moves to it
  (`resolve_splits`). Each question costs an evaluation, so only heavy beginnings of heavy candidates are
  followed,
  and few: what is not followed stays where it was.

Mass only moves: it never grows, and where no token begins with another, nothing moves and the result is that
of `bytes`. The base is not told in the helper's words: it is the base that is moved (section 4.2 of the
paper), and two moves at once could pass by each other.
Source: the design's bridge by bytes; Vieira et al. 2024 and Phan et al. 2024 for exact byte-level
probabilities.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.candidates import Distribution, TokenTable
from blendin_local.core.decisions import Ask, Role
from blendin_local.core.distribution import Prediction
from blendin_local.settings import BlendSettings

Telling = Generator[Ask, Prediction, Distribution]
Homes = Mapping[bytes, NDArray[np.intp]]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far beginnings are followed.

    Attributes:
        questions: Most questions per step.
        beginning: Least mass of a beginning.
        candidate: Least probability, under the base, of a candidate that it may become.
    """

    questions: int = 2
    beginning: float = 0.1
    candidate: float = 0.05


def project(helper: Prediction, role: Role, base: Prediction, settings: BlendSettings) -> Telling:
    """What `helper`, which plays `role`, predicts, as candidates that meet the base's."""
    if settings.bridge == "bytes":
        return helper.candidates
    return (yield from resolve_splits(gather(helper, base), helper, role, base))


def home_of(piece: bytes, ids: Mapping[bytes, int]) -> bytes | None:
    """The longest proper beginning of `piece` that is a token, whole characters long; None if there is none.

    A beginning inside a character would be finished to a character that nobody proposed.
    """
    for n in range(len(piece) - 1, 0, -1):
        if piece[:n] in ids and piece[n] & 0xC0 != 0x80:
            return piece[:n]
    return None


def homes_in(base: TokenTable, helper: TokenTable) -> Homes:
    """For each home in the base's vocabulary the ids of the helper's tokens that count for it."""
    if base not in helper.homes:
        guests: dict[bytes, list[int]] = {}
        for piece, token in helper.ids.items():
            if piece not in base.ids and (prefix_token := home_of(piece, base.ids)):
                guests.setdefault(prefix_token, []).append(token)
        helper.homes[base] = {
            prefix_token: np.array(ids, dtype=np.intp) for prefix_token, ids in guests.items()
        }
    return helper.homes[base]


def gather(helper: Prediction, base: Prediction) -> Distribution:
    """The helper's candidates, those that the base lacks counted for their homes among the base's candidates.

    g'(s) = g(s) + sum of P_g(t) over tokens t with home s, for every s of b; t's own entry goes
    """
    told = {s: p for s, p in helper.candidates.items() if _counted_at(s, base) == s}
    homes = homes_in(base.table, helper.table)
    for s in base.candidates:
        if s in homes:
            told[s] = told.get(s, 0.0) + helper.mass(homes[s])
    return _largest_first(told)


def resolve_splits(
    told: Distribution, helper: Prediction, role: Role, base: Prediction, reach: Reach | None = None
) -> Telling:
    """Move mass of the helper's beginnings to the base's candidates that the helper goes on to.

    g'(s) += P_g(p) * P_g(begins with r | p), g'(p) -= as much, for candidates s = pr that the helper lacks

    Where one such candidate begins with another, the longer one has what goes on to it.

    Args:
        told: Of `gather`.
        helper: Its prediction here.
        role: Who is asked.
        base: The base's prediction here.
        reach: What is followed.
    """
    reach = reach or Reach()
    lacking = [
        s for s, p in base.candidates.items() if p >= reach.candidate and s and s not in helper.table.ids
    ]
    moved = dict(told)
    begun: dict[bytes, dict[bytes, float]] = {}  # what may be said: how much of it counts where
    for p, mass in _beginnings(b"", lacking, helper):
        begun[p] = {_counted_at(p, base): mass}
    for _ in range(reach.questions):
        text = max(begun, key=lambda text: sum(begun[text].values()), default=None)
        if text is None or sum(begun[text].values()) < reach.beginning:
            break
        further = yield Ask(role, after=text)
        aims = [s for s in lacking if s.startswith(text) and s != text]
        shares, onward = _shares(text, aims, further), _beginnings(text, aims, further)
        for place, mass in begun.pop(text).items():
            for s, share in shares.items():
                _move(moved, place, s, mass * share)
            for longer, share in onward:
                now = max((s for s in aims if longer.startswith(s)), key=len, default=place)
                counts = begun.setdefault(longer, {})
                counts[now] = counts.get(now, 0.0) + mass * share
    return _largest_first(moved)


def _move(masses: dict[bytes, float], start: bytes, end: bytes, mass: float) -> None:
    """Take it from one candidate, as far as it is there, and give it to another."""
    mass = min(mass, masses.get(start, 0.0))
    if mass > 0:
        masses[start] -= mass
        masses[end] = masses.get(end, 0.0) + mass


def _counted_at(piece: bytes, base: Prediction) -> bytes:
    """Where `gather` counted a token."""
    prefix_token = None if piece in base.table.ids else home_of(piece, base.table.ids)
    return prefix_token if prefix_token is not None and prefix_token in base.candidates else piece


def _beginnings(said: bytes, aims: Iterable[bytes], helper: Prediction) -> list[tuple[bytes, float]]:
    """Texts one token longer than `said` on the way to an aim, with the probabilities of these tokens."""
    texts = {s[:n] for s in aims for n in range(len(said) + 1, len(s))}
    found = ((text, helper.probability(text[len(said) :])) for text in sorted(texts))
    return [(text, p) for text, p in found if p]


def _shares(said: bytes, aims: Iterable[bytes], further: Prediction) -> dict[bytes, float]:
    """For each aim the probability that the helper's next token reaches it and no longer one."""
    shares: dict[bytes, float] = {}
    for s in sorted(aims, key=len, reverse=True):
        beyond = sum(share for longer, share in shares.items() if longer.startswith(s))
        shares[s] = max(0.0, further.mass(further.table.beginning_with(s[len(said) :])) - beyond)
    return shares


def _largest_first(distribution: Distribution) -> Distribution:
    return dict(sorted(distribution.items(), key=itemgetter(1), reverse=True))
