"""Laws of a vocabulary and of a context, for implementations of a sequence, a rewinder or an engine.

Here: `check_engine`, and the two halves of it, `check_tokenizer` and `check_rewind`.
Not here: how much is evaluated again after a rewind, which is a matter of the kind of memory;
`check_rewind` returns it.
Source: design rule "Contexts"; floating-point logits are equal up to a tolerance, as batches differ in shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from blendin_local.engine.sequence import Tokenizer, TokenSequence
from blendin_local.testing.method_laws import require

TEXTS = (
    "Hello, world! It's 1234567 o'clock.\n\n  def f(x):\n\treturn x\n",
    "Привет, мир. これは日本語です。 😊👍🏽 ∑ naïve  café",
    " leading, trailing \n",
    "x\n\n\ny  \n z\r\n",
    "a.\n\nb?\n\n Yes.   No!",
)
Logits = NDArray[np.float32]


class Evaluator(Protocol):
    """What the laws need of a context; `engine.context.Context` is one."""

    @property
    def sequences(self) -> tuple[TokenSequence, ...]:
        """Its sequences; the laws use the first."""
        ...

    def predict(self, sequences: Sequence[TokenSequence]) -> list[Logits]:
        """Read what the sequences have not read yet; the logits after each."""
        ...

    def rewind(self, sequence: TokenSequence, keep: int) -> object:
        """Drop all but the first `keep` tokens of a sequence, or more where its memory demands it."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


@dataclass(frozen=True, slots=True)
class Rewound:
    """What one rewind cost.

    Attributes:
        keep: How many tokens were to stay.
        left: How many did.
        evaluated: How many were then evaluated for the next prediction.
    """

    keep: int
    left: int
    evaluated: int


def check_engine(
    open_context: Callable[[], Evaluator],
    tokenizer: Tokenizer,
    *,
    texts: Iterable[str] = TEXTS,
    tolerance: float = 1e-4,
) -> None:
    """Hold a vocabulary and its contexts to the laws.

    Args:
        open_context: Opens a fresh context, which the laws close.
        tokenizer: The model's vocabulary.
        texts: Texts to tokenize; the first two are also read, answered and rewound.
        tolerance: Largest difference between two logits that count as equal.

    Raises:
        AssertionError: A law is broken; the message names it and the position.

    Example:
        >>> check_engine(lambda: Context(model, 1024, threads=1), model.vocabulary)
    """
    texts = list(texts)
    for text in texts:
        check_tokenizer(tokenizer, text)
    for text in texts[:2]:
        ids = tokenizer.tokenize_following(text)
        keeps = range(1, len(ids), max(1, len(ids) // 8))
        check_rewind(open_context, ids, n_prompt=len(ids) // 2, keeps=keeps, tolerance=tolerance)


def check_tokenizer(tokenizer: Tokenizer, text: str, cuts: Sequence[int] | None = None) -> None:
    """Hold a vocabulary to the laws of tokenization, on one text.

    Args:
        tokenizer: The vocabulary.
        text: Any text.
        cuts: Offsets in characters at which the answer is extended; every third by default.

    Raises:
        AssertionError: The tokens are not the text's bytes, a boundary is none, or the tokens of a text that
            grew in pieces (or was cut and grew again) are not those of the whole.
    """
    whole = tokenizer.tokenize_following(text)
    joined_pieces = b"".join(tokenizer.pieces[token] for token in whole)
    require(joined_pieces == text.encode(), f"the tokens of {text!r} are {joined_pieces!r}")
    _check_boundaries(tokenizer, text, whole)
    sequence = TokenSequence(0, tokenizer)
    sequence.begin([])
    for cut in [*(range(1, len(text), 3) if cuts is None else cuts), len(text), len(text) // 2, len(text)]:
        sequence.sync_text(text[:cut].encode())
        expected = tokenizer.tokenize_following(text[:cut])
        require(
            sequence.ids == expected,
            f"windowed tokenization: {text[:cut]!r} came in pieces as {sequence.ids}, "
            f"at once it is {expected}",
        )


def _check_boundaries(tokenizer: Tokenizer, text: str, whole: list[int]) -> None:
    at = 0
    for n, token in enumerate(whole[:-1], start=1):
        at += len(tokenizer.pieces[token])
        if tokenizer.is_boundary(text.encode(), at):
            left, right = text.encode()[:at].decode(), text.encode()[at:].decode()
            apart = tokenizer.tokenize_following(left) + tokenizer.tokenize_following(right)
            require(
                apart == whole, f"a boundary after {n} tokens of {text!r} that is none: {left!r}, {right!r}"
            )


def check_rewind(
    open_context: Callable[[], Evaluator],
    ids: Sequence[int],
    *,
    n_prompt: int,
    keeps: Iterable[int] | None = None,
    expected: Logits | None = None,
    tolerance: float = 1e-4,
) -> list[Rewound]:
    """Rewind and replay is the identity: from every place the tokens read again give the same logits.

    Args:
        open_context: Opens a fresh context, which this closes.
        ids: Tokens of a prompt and an answer.
        n_prompt: How many of them are the prompt; the rest is accepted and read one by one.
        keeps: How many tokens to keep, each in a fresh context; every number by default.
        expected: The logits after all tokens; a fresh context that reads them at once, if None.
        tolerance: Largest difference between two logits that count as equal.

    Returns:
        What each rewind left and cost.

    Raises:
        AssertionError: The logits differ, or the sequence's attributes are inconsistent.
    """
    ids = list(ids)
    if expected is None:
        with closing(open_context()) as context:
            context.sequences[0].begin(ids)
            expected = context.predict(context.sequences[:1])[0].copy()
    rewound = []
    for keep in range(1, len(ids)) if keeps is None else keeps:
        cost, logits = _rewound(open_context, ids, n_prompt, keep)
        difference = float(np.abs(logits - expected).max())
        require(
            difference <= tolerance,
            f"after a rewind to {keep} of {len(ids)} tokens the logits differ by {difference:.2g}",
        )
        rewound.append(cost)
    return rewound


def _rewound(
    open_context: Callable[[], Evaluator], ids: list[int], n_prompt: int, keep: int
) -> tuple[Rewound, Logits]:
    """Walk to the end of the tokens, rewind, and read on: what it cost, and the logits then."""
    opened: AbstractContextManager[Evaluator] = closing(open_context())
    with opened as context:
        sequence = context.sequences[0]
        sequence.begin(ids[:n_prompt])
        context.predict([sequence])
        for token in ids[n_prompt:]:
            sequence.accept(token, b"?")
            context.predict([sequence])
        require(sequence.n_cached == len(ids), f"of {len(ids)} tokens {sequence.n_cached} were read")
        context.rewind(sequence, keep)
        left = sequence.n_valid
        require(
            sequence.n_cached == left <= keep,
            f"asked to keep {keep} tokens, {sequence.n_cached} are cached and {left} valid",
        )
        before = sequence.counter.tokens
        logits = context.predict([sequence])[0].copy()
        require(
            sequence.n_cached == sequence.n_valid == len(ids),
            f"{len(ids)} tokens were read again, {sequence.n_cached} are cached and {sequence.n_valid} valid",
        )
        return Rewound(keep, left, sequence.counter.tokens - before), logits
