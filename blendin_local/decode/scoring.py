"""Log-probabilities of given text: of each token of a text, or of several options after a prompt.

Here: `score_text`; `score_ids`, for tokens; `score_options`, the request `loglikelihood` of EleutherAI's
lm-evaluation-harness.
Not here: writing an answer (`decode.respond`), the score of one token (`core.token_scores`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from blendin_local.core.token_scores import (
    OptionScore,
    TokenLogprob,
    TokenScore,
    logprob_of,
    logprob_of_any,
    token_logprob,
    token_score,
)
from blendin_local.decode.role_context import RoleContext
from blendin_local.engine.text_logits import logits_after_prompt
from blendin_local.engine.vocabulary import Span, Vocabulary
from blendin_local.errors import UsageError


def score_text(
    role_context: RoleContext,
    spans: Sequence[Span],
    *,
    temperature_profile: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[TokenScore]:
    """Every token of a text with what the model predicted for it.

    The first token is scored only if the vocabulary puts a BOS before it: otherwise nothing predicts it.

    Args:
        role_context: The model's; a conversation in it starts over afterwards.
        spans: The text.
        temperature_profile: Whether to measure other temperatures too
            (`core.token_scores.TemperatureProfile`).
        should_stop: Polled during evaluations.

    Raises:
        ContextFullError: The text is longer than the context.
        StoppedError: `should_stop` became true.
    """
    vocabulary, sequence = role_context.context.model.vocabulary, role_context.borrow()
    ids = vocabulary.tokenize_prompt(spans)
    if not ids:
        return
    sequence.begin(ids[:1])
    sequence.ids += ids[1:]
    start = len(vocabulary.pieces[ids[0]])
    rows = logits_after_prompt(role_context.context, sequence, should_stop)
    for token, logits in zip(ids[1:], rows, strict=False):
        piece = vocabulary.pieces[token]
        yield token_score(logits, token, start, piece, temperature_profile=temperature_profile)
        start += len(piece)


def score_ids(
    role_context: RoleContext,
    ids: Sequence[int],
    *,
    n_top: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[TokenLogprob]:
    """Every token with what the model predicted for it, then the likeliest token after them.

    Args:
        role_context: The model's; a conversation in it starts over afterwards.
        ids: The tokens, read as they are: no BOS is added. The first one is predicted by nothing.
        n_top: How many of the likeliest tokens to list at each place.
        should_stop: Polled during evaluations.

    Yields:
        `len(ids) + 1` tokens.

    Raises:
        UsageError: There are no tokens, or one is not in the vocabulary.
        ContextFullError: They are more than the context holds.
        StoppedError: `should_stop` became true.
    """
    n_tokens = role_context.context.model.vocabulary.n_tokens
    unknown = next((token for token in ids if not 0 <= token < n_tokens), None)
    if not ids or unknown is not None:
        raise UsageError(
            "there are no tokens to score" if unknown is None else f"there is no token {unknown}",
            f"the model has tokens 0 to {n_tokens - 1}",
        )
    sequence = role_context.borrow()
    sequence.begin(list(ids[:1]))
    sequence.ids += ids[1:]
    yield TokenLogprob(ids[0])
    following = chain(ids[1:], [None])
    rows = logits_after_prompt(role_context.context, sequence, should_stop)
    for token, logits in zip(following, rows, strict=False):
        yield token_logprob(logits, token, n_top)


def score_options(
    role_context: RoleContext,
    prompt: Sequence[Span],
    options: Sequence[str],
    should_stop: Callable[[], bool] = lambda: False,
    *,
    ends: bool = False,
) -> list[OptionScore]:
    """Log P(option | prompt) = sum_j log p(t_j | prompt, t_1 .. t_j-1) for each option, the prompt read once.

    After plain text an option gets a space before it, unless the text ends in white space; spaces and tabs at
    the end of the text count as part of the option. Both are tokenized together, and the tokens after the
    text's are scored. If the two would share a token, the text is tokenized alone, as before an answer, and
    the option after it. After a chat template, which ends where the answer begins, an option is unchanged.

    Args:
        role_context: The model's; a conversation in it starts over afterwards.
        prompt: The rendered prompt.
        options: Texts that could follow.
        should_stop: Polled during evaluations.
        ends: Whether to score the end of the answer after each option too, all end tokens pooled. It costs
            an evaluation of one more token.

    Raises:
        UsageError: An option, or the prompt, is empty.
        ContextFullError: Prompt and option are longer than the context.
        StoppedError: `should_stop` became true.
    """
    head, tails = _split_options(prompt, options)
    vocabulary, sequence = role_context.context.model.vocabulary, role_context.borrow()
    head_ids = vocabulary.tokenize_prompt(head)
    if not head_ids or "" in options:
        raise UsageError("a prompt or an option is empty", "give each at least one character")
    sequence.begin(head_ids)
    [after_prompt] = [
        logits.copy() for logits in logits_after_prompt(role_context.context, sequence, should_stop)
    ]
    scores = []
    for option, tail in zip(options, tails, strict=True):
        ids = _tokens_after(vocabulary, head, head_ids, tail)
        logprob, end_logprob = logprob_of(after_prompt, ids[0]), None
        if len(ids) > 1 or ends:
            sequence.restart()
            sequence.ids += ids if ends else ids[:-1]
            rows = islice(logits_after_prompt(role_context.context, sequence, should_stop), 1, None)
            logprob += sum(logprob_of(row, token) for token, row in zip(ids[1:], rows, strict=False))
            end_logprob = logprob_of_any(next(rows), sorted(vocabulary.end_ids)) if ends else None
        scores.append(OptionScore(logprob, len(option.encode()), len(ids), end_logprob))
    return scores


def _split_options(prompt: Sequence[Span], options: Sequence[str]) -> tuple[list[Span], list[str]]:
    """The prompt without the space at its end, and each option with the space before it."""
    *before, last = prompt
    if last.trusted:
        return [*before, last], list(options)
    text = last.text.rstrip(" \t")
    moved = last.text[len(text) :]
    space = "" if moved or not text or text[-1].isspace() else " "
    tails = [moved + (option if option[:1].isspace() else space + option) for option in options]
    return [*before, Span(text, trusted=False)], tails


def _tokens_after(vocabulary: Vocabulary, head: list[Span], head_ids: list[int], tail: str) -> list[int]:
    """The tokens of an option after those of its prompt."""
    *before, last = head
    if not last.trusted:
        whole = vocabulary.tokenize_prompt([*before, Span(last.text + tail, trusted=False)])
        if whole[: len(head_ids)] == head_ids and len(whole) > len(head_ids):
            return whole[len(head_ids) :]
    return vocabulary.tokenize_more([Span(tail, trusted=False)])
