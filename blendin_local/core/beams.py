"""The beams of a search over chunks: their scores, and which are kept.

Here: `Beam` and `SearchRecord`, what an answer says of its search, with their JSON; `best_beams`, the
selection; `share_copies`, how many continuations each beam gets.
Not here: how beams are written and read (`decode.search`, `decode.text_scores`).
Source: chunk-level beam search of Zhou et al. 2024 ("Weak-to-Strong Search"), arXiv 2405.19262; Liu et al.
2024 ("Inference-Time Language Model Alignment via Integrated Value Guidance"), arXiv 2409.17819.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Beam:
    """One sequence after a chunk. All logarithms are natural.

    Attributes:
        slot: The number of the sequence it was written in, which decides its seed.
        parent: Its place in the list of the chunk before; None in the first.
        text: What the chunk added; nothing for a finished beam that stays.
        n_steps: Steps of its whole answer.
        n_bytes: Bytes of its whole answer.
        tuned: Log p of the guide for the whole answer, with END where the answer ended by itself.
        untuned: The same of the untuned guide.
        stopped_by: How the answer ended, in the words of `Completion.stopped_by`; None where it goes on.
        kept: Whether it is among those that are continued, or stay as they are.
    """

    slot: int
    parent: int | None
    text: str
    n_steps: int
    n_bytes: int
    tuned: float
    untuned: float
    stopped_by: str | None = None
    kept: bool = False

    @property
    def score(self) -> float:
        """Log p(tuned) - log p(untuned): how much likelier tuning made this answer."""
        return self.tuned - self.untuned

    @property
    def score_per_byte(self) -> float:
        """The score of an average byte: long answers have larger sums."""
        return self.score / self.n_bytes if self.n_bytes else 0.0

    def to_json(self) -> dict[str, Any]:
        """All fields, and the score."""
        return {**asdict(self), "score": self.score, "score_per_byte": self.score_per_byte}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Beam:
        """The beam that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: It is no such record.
        """
        parent, stopped_by = record["parent"], record["stopped_by"]
        return cls(
            slot=int(record["slot"]),
            parent=None if parent is None else int(parent),
            text=str(record["text"]),
            n_steps=int(record["n_steps"]),
            n_bytes=int(record["n_bytes"]),
            tuned=float(record["tuned"]),
            untuned=float(record["untuned"]),
            stopped_by=None if stopped_by is None else str(stopped_by),
            kept=bool(record["kept"]),
        )


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """How an answer was found.

    Attributes:
        size: The setting, `W,K,L`.
        chunks: After each chunk all sequences that were compared, finished ones of earlier chunks first.
        winner: The place of the answer in the last list; None where the search was broken off before the
            first chunk was scored.
    """

    size: str
    chunks: tuple[tuple[Beam, ...], ...] = ()
    winner: int | None = None

    @property
    def best(self) -> Beam | None:
        """The beam that is the answer."""
        return None if self.winner is None else self.chunks[-1][self.winner]

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        chunks = [[beam.to_json() for beam in chunk] for chunk in self.chunks]
        return {"size": self.size, "winner": self.winner, "chunks": chunks}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SearchRecord:
        """The record that `to_json` wrote; errors as for `Beam.from_json`."""
        winner = record["winner"]
        chunks = tuple(tuple(map(Beam.from_json, chunk)) for chunk in record["chunks"])
        if winner is not None and not 0 <= int(winner) < len(chunks[-1] if chunks else ()):
            raise ValueError(f"there is no beam {winner}")
        return cls(str(record["size"]), chunks, None if winner is None else int(winner))


def best_beams(beams: Sequence[tuple[float, bytes, bool]], width: int) -> list[int]:
    """The places of the best beams, best first; of equal ones the first.

    Of beams with one text only the first can be chosen: kept twice, it would take the place of another.

    Args:
        beams: Score, whole text and whether it is finished, of each.
        width: W, how many at most.
    """
    chosen: dict[tuple[bytes, bool], int] = {}
    for i in sorted(range(len(beams)), key=lambda i: (-beams[i][0], i)):
        _, text, finished = beams[i]
        chosen.setdefault((text, finished), i)
    return list(chosen.values())[:width]


def share_copies(n: int, n_beams: int) -> list[int]:
    """How many of `n` sequences continue each of `n_beams` beams: K each where there are W, else more."""
    return [n // n_beams + (i < n % n_beams) for i in range(n_beams)]
