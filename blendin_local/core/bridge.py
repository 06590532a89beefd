"""The bridge `prefix`: a helper's distribution told in the base's words.

Here: `gather` and `follow`, and `told_by`, which does what the settings say.
Not here: equal strings (`bytes`), which meet by being equal; the formulas that read the result
(`core.blending`).

Two vocabularies cut text differently: "123" may be one token of the guide and three of the base. By equal
strings alone such words never meet. To credit every candidate with all of the other model's mass on texts
that
begin with it does not do either: a one-letter candidate would take nearly everything, and win every greedy
step. So each of the helper's texts counts once, where the base would begin to say it:

- A token that both have is itself.
- One that the base lacks counts for its home, the longest token of the base it begins with, where the base
  proposes that (`gather`); else it stays a candidate of its own, as in `bytes`. Homes are found once per
  pair, and the sums over them are exact, over the whole vocabulary.
- A candidate of the base that the helper lacks is reached by the helper in several tokens. Its first ones are
  followed by asking the helper what comes after them, and the mass that goes on to the candidate moves to it
  (`follow`). Each question costs an evaluation, so only heavy beginnings of heavy candidates are followed,
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


def told_by(helper: Prediction, role: Role, base: Prediction, settings: BlendSettings) -> Telling:
    """What `helper`, which plays `role`, predicts, as candidates that meet the base's."""
    if settings.bridge == "bytes":
        return helper.candidates
    return (yield from follow(gather(helper, base), helper, role, base))


def home_of(piece: bytes, ids: Mapping[bytes, int]) -> bytes | None:
    """The longest proper beginning of `piece` that is a token, whole characters long; None if there is none.

    A beginning inside a character would be finished to a character that nobody proposed.
    """
    cuts = (n for n in range(len(piece) - 1, 0, -1) if piece[n] & 0xC0 != 0x80)
    return next((piece[:n] for n in cuts if piece[:n] in ids), None)


def homes_in(base: TokenTable, helper: TokenTable) -> Homes:
    """For each home in the base's vocabulary the ids of the helper's tokens that count for it."""
    if base not in helper.homes:
        guests: dict[bytes, list[int]] = {}
        for piece, token in helper.ids.items():
            if piece not in base.ids and (home := home_of(piece, base.ids)):
                guests.setdefault(home, []).append(token)
        helper.homes[base] = {home: np.array(ids, dtype=np.intp) for home, ids in guests.items()}
    return helper.homes[base]


def gather(helper: Prediction, base: Prediction) -> Distribution:
    """The helper's candidates, those that the base lacks counted for their homes among the base's candidates.

    g'(s) = g(s) + sum of P_g(t) over tokens t with home s, for every s of b; t's own entry goes
    """
    known, proposed = base.table.ids, base.candidates
    told = {s: p for s, p in helper.candidates.items() if s in known or home_of(s, known) not in proposed}
    homes = homes_in(base.table, helper.table)
    for s in proposed:
        if s in homes:
            told[s] = told.get(s, 0.0) + helper.mass(homes[s])
    return _largest_first(told)


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What the helper may say first, with its probability; `place` is the candidate that counts it now."""

    text: bytes
    mass: float
    place: bytes


def follow(
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
    open_ends = {
        p: _Beginning(p, mass, _counted_at(p, base)) for p, mass in _beginnings(b"", lacking, helper, reach)
    }
    for _ in range(reach.questions):
        if not open_ends:
            break
        begun = open_ends.pop(max(open_ends, key=lambda text: open_ends[text].mass))
        further = yield Ask(role, after=begun.text)
        aims = [s for s in lacking if s.startswith(begun.text) and s != begun.text]
        for s, share in _shares(begun.text, aims, further).items():
            mass = min(begun.mass * share, moved.get(begun.place, 0.0))
            moved[begun.place] = moved.get(begun.place, 0.0) - mass
            moved[s] = moved.get(s, 0.0) + mass
        for text, share in _beginnings(begun.text, aims, further, reach, begun.mass):
            place = max((s for s in aims if text.startswith(s)), key=len, default=begun.place)
            open_ends[text] = _Beginning(text, share, place)
    return _largest_first(moved)


def _counted_at(piece: bytes, base: Prediction) -> bytes:
    """Where `gather` counted a token."""
    home = None if piece in base.table.ids else home_of(piece, base.table.ids)
    return home if home is not None and home in base.candidates else piece


def _beginnings(
    said: bytes, aims: Iterable[bytes], helper: Prediction, reach: Reach, mass: float = 1.0
) -> Iterable[tuple[bytes, float]]:
    """Texts one token longer than `said` on the way to an aim, with their masses where these are heavy."""
    texts = {s[:n] for s in aims for n in range(len(said) + 1, len(s))}
    found = ((text, mass * (helper.probability(text[len(said) :]) or 0.0)) for text in sorted(texts))
    return [(text, reached) for text, reached in found if reached > 0 and reached >= reach.beginning]


def _shares(said: bytes, aims: Iterable[bytes], further: Prediction) -> dict[bytes, float]:
    """For each aim the probability that the helper's next token reaches it and no longer one."""
    shares: dict[bytes, float] = {}
    for s in sorted(aims, key=len, reverse=True):
        beyond = sum(share for longer, share in shares.items() if longer.startswith(s))
        shares[s] = max(0.0, further.mass(further.table.beginning_with(s[len(said) :])) - beyond)
    return shares


def _largest_first(distribution: Distribution) -> Distribution:
    return dict(sorted(distribution.items(), key=itemgetter(1), reverse=True))
