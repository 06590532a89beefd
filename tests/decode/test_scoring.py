"""Laws of reading: what a model is said to have predicted is what it predicts token by token."""

import numpy as np
import pytest

from blendin_local.core.candidates import TokenTable
from blendin_local.core.prompts import Message, PlainTemplate
from blendin_local.core.token_scores import log_sum_exp
from blendin_local.decode.role_context import RoleContext
from blendin_local.decode.scoring import score_options, score_text
from blendin_local.engine.batch import MAX_OUTPUTS
from blendin_local.engine.context import Context, StoppedError
from blendin_local.engine.model import Model
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import ContextFullError, PairError, UsageError
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import ModelSettings
from tests.toys import make_toy

TOLERANCE = 2e-3  # random toy weights: batch shapes differ, predictions must not
TEXT = "hello the world. " * 6


@pytest.fixture
def role_context(toy_path):
    model = Model(toy_path, ModelSettings(threads=1))
    context = Context(model, 512, 1)
    vocabulary = model.vocabulary
    yield RoleContext(
        context,
        context.sequences[0],
        TokenTable.build(vocabulary.pieces, vocabulary.end_ids, vocabulary.fallback_ids),
    )
    context.close()
    model.close()


def spans(text):
    return (Span(text, trusted=False),)


def logits_after(role_context, ids):
    """A slow twin: one prediction after exactly these tokens."""
    sequence = role_context.borrow()
    sequence.begin(ids)
    return role_context.context.predict([sequence])[0].copy()


def log_p(role_context, ids, tail):
    """Token by token, each read from the start."""
    total = 0.0
    for token in tail:
        logits = logits_after(role_context, ids)
        total += float(logits[token]) - log_sum_exp(logits)
        ids = [*ids, token]
    return total


def test_every_token_is_predicted_as_token_by_token(role_context):
    """Logprob, top probability and hit of each place are those of one prediction at a time."""
    ids = role_context.context.model.vocabulary.tokenize_prompt(spans(TEXT))
    places = list(score_text(role_context, spans(TEXT)))

    assert len(places) == len(ids) - 1 > 2 * MAX_OUTPUTS
    for i in (1, 2, MAX_OUTPUTS, MAX_OUTPUTS + 1, len(ids) - 1):
        logits = logits_after(role_context, ids[:i]).astype(np.float64)
        p = np.exp(logits - logits.max())
        p /= p.sum()
        place = places[i - 1]
        assert place.logprob == pytest.approx(np.log(p[ids[i]]), abs=TOLERANCE)
        assert place.top_p == pytest.approx(p.max(), abs=TOLERANCE)
        assert place.top_is_token == (p.argmax() == ids[i])


def test_the_places_are_the_text(role_context):
    """Joined, the tokens' bytes are the text, and each place knows where it starts."""
    places = list(score_text(role_context, spans(TEXT)))

    assert b"".join(place.token_bytes for place in places) == TEXT.encode()
    starts = [place.start for place in places]
    assert starts == [sum(len(p.token_bytes) for p in places[:i]) for i in range(len(places))]


def test_one_token_texts_share_a_probability_of_one(role_context):
    """Over all tokens that could follow a prompt the probabilities sum to 1."""
    vocabulary = role_context.context.model.vocabulary
    sequence = role_context.borrow()
    prompt = vocabulary.tokenize_prompt(spans("hell"))
    total = sum(np.exp(log_p(role_context, prompt, [token])) for token in range(vocabulary.n_tokens))

    assert total == pytest.approx(1, abs=1e-6)
    assert sequence is role_context.sequence


def test_an_option_is_as_likely_as_its_tokens_one_by_one(role_context):
    """An option's log P is the sum over its tokens of what a fresh reading predicts."""
    tokenize = role_context.context.model.vocabulary.tokenize_prompt
    prompt = "the world. hello the hell"
    options = ["a", "world", "hello the world", "d"]
    scores = score_options(role_context, spans(prompt), options)

    for option, score in zip(options, scores, strict=True):
        head, whole = tokenize(spans(prompt)), tokenize(spans(f"{prompt} {option}"))
        assert whole[: len(head)] == head
        assert score.n_tokens == len(whole) - len(head)
        assert score.n_bytes == len(option)
        assert score.logprob == pytest.approx(log_p(role_context, head, whole[len(head) :]), abs=TOLERANCE)


def test_the_chain_rule(role_context):
    """Log P(a b | prompt) = log P(a | prompt) + log P(b | prompt a)."""
    both, first = score_options(role_context, spans("the"), ["hello the world", "hello the"])
    [second] = score_options(role_context, spans("the hello the"), ["world"])

    assert both.logprob == pytest.approx(first.logprob + second.logprob, abs=TOLERANCE)


def test_spaces_at_the_seam_do_not_matter(role_context):
    """A space before the option may stand in the prompt, in the option, or be left out."""
    here, there, nowhere = (
        score_options(role_context, spans(prompt), [option])[0]
        for prompt, option in (("the ", "world"), ("the", " world"), ("the", "world"))
    )

    assert here.logprob == pytest.approx(there.logprob, abs=TOLERANCE)
    assert nowhere.logprob == pytest.approx(there.logprob, abs=TOLERANCE)
    assert there.n_bytes == nowhere.n_bytes + 1


def test_a_shared_token_is_not_torn_out_of_the_prompt(role_context):
    """Where prompt and option would merge, the prompt keeps its tokens and the option follows them."""
    vocabulary = role_context.context.model.vocabulary
    prompt, option = "\nhel", "lo"
    head = vocabulary.tokenize_prompt(spans(prompt))
    [score] = score_options(role_context, [Span(prompt, trusted=True)], [option])

    expected = log_p(role_context, head, vocabulary.tokenize_following(option))
    assert score.logprob == pytest.approx(expected, abs=TOLERANCE)


def test_the_prompt_is_read_once(role_context):
    """Options of one token cost nothing more; longer ones cost their own tokens, whatever the memory."""
    prompt = spans(TEXT.strip())
    n_prompt = len(role_context.context.model.vocabulary.tokenize_prompt(prompt))
    scores = score_options(role_context, prompt, ["a"] * 10)
    assert [score.n_tokens for score in scores] == [1] * 10
    assert role_context.context.counter.tokens == n_prompt

    scores = score_options(role_context, prompt, ["a", "hello the", "hello a the"])
    read = role_context.context.counter.tokens - n_prompt
    assert read == 1 + sum(score.n_tokens for score in scores if score.n_tokens > 1)


def test_the_end_after_an_option_is_that_of_a_fresh_reading(role_context):
    """Log P(END | prompt, option) pools all end tokens; the options' own scores are the same without it."""
    vocabulary = role_context.context.model.vocabulary
    prompt, options = "the world. hello the hell", ["a", "hello the world"]
    scores = score_options(role_context, spans(prompt), options, ends=True)
    read = role_context.context.counter.tokens
    plain = score_options(role_context, spans(prompt), options)

    for option, score, alone in zip(options, scores, plain, strict=True):
        logits = logits_after(role_context, vocabulary.tokenize_prompt(spans(f"{prompt} {option}")))
        p = np.exp(logits.astype(np.float64) - log_sum_exp(logits))
        assert np.exp(score.end_logprob) == pytest.approx(p[sorted(vocabulary.end_ids)].sum(), rel=0.02)
        assert score.logprob == pytest.approx(alone.logprob, abs=TOLERANCE)
        assert alone.end_logprob is None
    n_prompt = len(vocabulary.tokenize_prompt(spans(prompt)))
    assert read == n_prompt + sum(score.n_tokens for score in scores) + len(options)


def test_a_conversation_is_not_disturbed(role_context):
    """After reading, a prompt gives the bits that it gives in a fresh context."""
    ids = role_context.context.model.vocabulary.tokenize_prompt(spans(TEXT * 3))
    before = logits_after(role_context, ids)
    list(score_text(role_context, spans(TEXT)))
    score_options(role_context, spans("the"), ["a", "world hello"])

    assert (logits_after(role_context, ids) == before).all()


def test_a_stop_is_heeded(role_context):
    """Reading ends where the user says so."""
    with pytest.raises(StoppedError):
        list(score_text(role_context, spans(TEXT), should_stop=lambda: True))


def test_too_long_and_empty_are_refused(role_context):
    """A text that does not fit and an option without text are errors of their own."""
    with pytest.raises(ContextFullError):
        list(score_text(role_context, spans("hello " * 600)))
    with pytest.raises(UsageError):
        score_options(role_context, spans("the"), ["a", ""])
    assert list(score_text(role_context, spans("\n")))


def test_the_pair_reads_and_scores(tmp_path):
    """`Pair` prompts the base plainly and the guide by its template, and says which role is missing."""
    path = make_toy(tmp_path / "toy.gguf", "plain")
    template = PlainTemplate("t", "hello {text}.", "{text}\n")
    settings = ModelSettings(ctx_size=256, threads=1)
    messages = [Message("user", "the world")]
    with Pair(PairSetup(path, path, template, settings, settings)) as pair:
        [base] = pair.option_logprobs("base", messages, ["hello"])
        [guide] = pair.option_logprobs("guide", messages, ["hello"])
        whole = sum(place.logprob for place in pair.read("base", "hello the world. hello"))
        head = sum(place.logprob for place in pair.read("base", "hello the world."))
        assert base.logprob == pytest.approx(whole - head, abs=TOLERANCE)
        assert guide.logprob != pytest.approx(base.logprob, abs=0.1)
    with (
        Pair(PairSetup(path, None, template, settings)) as pair,
        pytest.raises(PairError, match="needs a guide"),
    ):
        pair.option_logprobs("guide", messages, ["a"])
