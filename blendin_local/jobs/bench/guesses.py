"""How good the guide's guesses are along answers that were made without drafts.

Here: `Guess`, `guesses_along` an answer, and `rates_by_depth`, how often the first, second, ... guess of a
draft comes true.
Not here: what follows for the speed (`jobs.bench.drafts`).
The guide reads the whole answer at once, and what it predicts after each token is held against what came.
That takes one reading instead of an answer with drafts, and leaves no place out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from blendin_local.core.prompts import Message
from blendin_local.core.records import Completion
from blendin_local.core.token_scores import TokenScore
from blendin_local.engine.vocabulary import Span
from blendin_local.pair.pair import Pair

MIN_REACHED = 5  # guesses; a depth that fewer reached is taken to be like the one before it


@dataclass(frozen=True, slots=True)
class Guess:
    """What the guide would have guessed at one step.

    Attributes:
        probability: The guide's own; of a step that it writes in several tokens, the least of theirs.
        came_true: Whether the step was its guess.
    """

    probability: float
    came_true: bool


def guesses_along(pair: Pair, question: str, completion: Completion) -> list[Guess]:
    """The guide's guesses at every step of an answer, each after what the answer really said before it.

    Args:
        pair: An open pair with a guide.
        question: What was answered.
        completion: The answer.
    """
    pieces = [step.bytes for step in completion.steps if step.bytes]
    if not pieces:
        return []
    system = [Message("system", pair.setup.system)] if pair.setup.system else []
    prompt = pair.prompt_spans("guide", [*system, Message("user", question)])
    answer = Span(b"".join(pieces).decode(), trusted=False)
    return guesses_of(list(pair.read("guide", [*prompt, answer])), pieces)


def guesses_of(scores: Sequence[TokenScore], pieces: Sequence[bytes]) -> list[Guess]:
    """The same from the guide's tokens and the bytes of the steps, with which their text ends.

    Args:
        scores: The guide's tokens of prompt and answer, with what it predicted for each.
        pieces: The bytes of each step, none empty.
    """
    end = scores[-1].start + len(scores[-1].token_bytes)
    start = end - sum(map(len, pieces))
    guesses, first = [], 0
    for piece in pieces:
        stop = start + len(piece)
        while scores[first].start + len(scores[first].token_bytes) <= start:
            first += 1
        inside = [score for score in scores[first : first + len(piece)] if score.start < stop]
        sureness = min(score.top_p for score in inside)
        guesses.append(Guess(sureness, all(score.top_is_token for score in inside)))
        start = stop
    return guesses


def rates_by_depth(answers: Iterable[Sequence[Guess]], n: int) -> list[float]:
    """s_1 ... s_n: how often guess i of a draft comes true if all before it did, over all places to begin.

    Args:
        answers: The guesses along each answer.
        n: The length of the longest draft.
    """
    reached, true = [0] * n, [0] * n
    for answer in answers:
        for begin in range(len(answer)):
            for depth, guess in enumerate(answer[begin : begin + n]):
                reached[depth] += 1
                true[depth] += guess.came_true
                if not guess.came_true:
                    break
    rates: list[float] = []
    for seen, came_true in zip(reached, true, strict=True):
        known = came_true / seen if seen else 0.0
        rates.append(known if seen >= MIN_REACHED or not rates else rates[-1])
    return rates
