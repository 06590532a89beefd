"""Probabilities of given text: legacy completions with `echo` and `logprobs`.

Here: `EchoJob`, which scores one prompt in the inference thread, and the form in which it is sent.
Not here: the scores themselves (`decode.scoring`).
Source: lm-evaluation-harness, `lm_eval/models/openai_completions.py`: it reads `token_logprobs` and
`top_logprobs`, those of the prompt first, and holds a token for the greedy one where its logprob is the
largest of its place.

Only one model can score a text: `NAME:base` or `NAME:guide`. What a blend gives a token of a given text is
not defined yet.

The harness sends tokens without BOS, whatever the model was trained with. A model that reads a BOS before
every text is given one, which is not sent back: without it the scores of a Gemma are hardly better than
chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from blendin_local.core.methods import Role
from blendin_local.core.token_scores import TokenLogprob
from blendin_local.decode.request import RoleContexts
from blendin_local.decode.scoring import score_ids
from blendin_local.engine.vocabulary import Vocabulary
from blendin_local.server.failures import HttpError


class EchoJob:
    """Scores the tokens of one prompt; a task of the inference thread.

    Args:
        role: Whose probabilities.
        ids: The tokens.
        n_top: How many of the likeliest tokens to list at each place.
        vocabulary: The model's.

    Attributes:
        scores: The tokens that are scored so far, at the end one more than the prompt has.
    """

    def __init__(self, role: Role, ids: Sequence[int], n_top: int, vocabulary: Vocabulary) -> None:
        self.scores: list[TokenLogprob] = []
        self._role = role
        lacks_bos = vocabulary.adds_bos and list(ids[:1]) != [vocabulary.bos_id]
        self._ids = [vocabulary.bos_id, *ids] if ids and lacks_bos else list(ids)
        self._n_added = len(self._ids) - len(ids)
        self._n_top = n_top

    def __call__(self, slot: RoleContexts, should_stop: Callable[[], bool]) -> Iterator[None]:
        """Score, and let others have their turn after every evaluation.

        Not before all of its logits are read: those of another evaluation take their place.
        """
        sequence = slot[self._role].sequence
        scores = score_ids(slot[self._role], self._ids, n_top=self._n_top, should_stop=should_stop)
        for i, score in enumerate(scores, 1):
            if i > self._n_added:
                self.scores.append(score)
            if i == sequence.n_valid + 1:
                yield


def scoring_role(method: str, model: str) -> Role:
    """The model that scores a text.

    Raises:
        HttpError: The method blends.
    """
    if method in {"base", "guide"}:
        return "base" if method == "base" else "guide"
    name = model.partition(":")[0]
    raise HttpError(
        400,
        f"echo with logprobs is not defined for the method {method}",
        f"ask {name}:base or {name}:guide",
        code="unsupported_field",
        param="echo",
    )


def echo_choice(
    index: int, scores: Sequence[TokenLogprob], n_new: int, vocabulary: Vocabulary, with_logprobs: bool
) -> dict[str, Any]:
    """One answer: the prompt, and a new token if one was asked for.

    Args:
        index: Its number.
        scores: The tokens of the prompt, then the likeliest one after them.
        n_new: How many new tokens were asked for, 0 or 1.
        vocabulary: The model's.
        with_logprobs: Whether probabilities were asked for.
    """
    shown = scores[: len(scores) - 1 + n_new]
    texts = [token_text(vocabulary, score.token) for score in shown]
    offsets, at = [], 0
    for text in texts:
        offsets.append(at)
        at += len(text)
    logprobs = {
        "tokens": texts,
        "token_logprobs": [score.logprob for score in shown],
        "top_logprobs": [_top(vocabulary, score) for score in shown],
        "text_offset": offsets,
    }
    return {
        "index": index,
        "text": "".join(texts),
        "logprobs": logprobs if with_logprobs else None,
        "finish_reason": "length",
    }


def token_text(vocabulary: Vocabulary, token: int) -> str:
    """The text of a token; the name of a control token, which has none."""
    piece = vocabulary.pieces[token]
    return piece.decode("utf-8", "replace") if piece else vocabulary.literal(token)


def _top(vocabulary: Vocabulary, score: TokenLogprob) -> dict[str, float] | None:
    if score.logprob is None:
        return None
    found: dict[str, float] = {}
    for token, logprob in score.top:
        found.setdefault(token_text(vocabulary, token), logprob)
    return found
