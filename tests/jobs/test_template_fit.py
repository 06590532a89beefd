"""The end after short answers: how it is measured, and that it tells the guide's template from others."""

from math import log

import numpy as np
import pytest

from blendin_local.core.prompts import Message
from blendin_local.core.token_scores import OptionScore
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import ContextFullError
from blendin_local.jobs.check.built_in_texts import one_word_answers
from blendin_local.jobs.check.template_fit import end_probability
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import CheckSettings, ModelSettings
from tests.prompts import TEMPLATE
from tests.toys import make_toy

LIMIT = CheckSettings().end_p
FOREIGN = (  # Alpaca's form, which the demo guide follows well, and Llama 3's
    "{% for m in messages %}### Instruction:\n{{ m.content }}\n\n{% endfor %}### Response:\n",
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}<|eot_id|>"
    "{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n",
)


class ScriptedGuide:
    """Ends its answers with these probabilities, and has no room for more."""

    def __init__(self, *ends):
        self.ends = list(ends)
        self.asked = []

    def option_logprobs(self, role, messages, options, should_stop, *, ends):
        assert (role, ends, should_stop()) == ("guide", True, False)
        [message] = messages
        if len(self.asked) == len(self.ends):
            raise ContextFullError(n_prompt=9, n_ctx=3)
        self.asked.append((message.text, *options))
        return [OptionScore(log(0.25), 1, 1, log(self.ends[len(self.asked) - 1]))]


QUESTIONS = [("Up?", "Down"), ("Big?", "Small")]


def test_the_mean_is_taken_over_the_answers_that_fit():
    """P(END | q, a), a mean over questions asked alone, without a system; None where none has room."""
    guide = ScriptedGuide(0.5, 0.25)

    assert end_probability(guide, QUESTIONS, lambda: False) == pytest.approx(0.375)
    assert guide.asked == QUESTIONS
    assert end_probability(ScriptedGuide(0.5), QUESTIONS) == pytest.approx(0.5)
    assert end_probability(ScriptedGuide(), QUESTIONS) is None


def test_a_check_reads_the_end_of_shipped_answers(tmp_path):
    """On a real model it is the mean of what a fresh reading of prompt, answer and end predicts."""
    path, settings = make_toy(tmp_path / "m.gguf", "plain"), ModelSettings(ctx_size=512, threads=1)
    with Pair(PairSetup(None, path, TEMPLATE, guide_settings=settings)) as pair:
        found = end_probability(pair, one_word_answers()[:2])
        by_hand = [end_by_hand(pair, *row) for row in one_word_answers()[:2]]

    assert 0 < found < 1
    assert found == pytest.approx(np.mean(by_hand), rel=0.02)


def end_by_hand(pair, question, answer):
    """P(END | q, a), from readings of the whole prompt with each end token in turn."""
    prompt = pair.prompt_spans("guide", [Message("user", question)])

    def p(text, after):
        *_, last = pair.read("guide", (*prompt, Span(text, trusted=False), after))
        return np.exp(last.logprob)

    ends = [Span(end, trusted=True) for end in pair.vocabulary("guide").end_tokens]
    return sum(p(answer, end) for end in ends)


@pytest.mark.model
@pytest.mark.parametrize("source", [None, *FOREIGN])
def test_the_demo_guide_is_suspect_with_a_foreign_template_only(demo_guide_path, source):
    """A margin on both sides: with its own template it ends its turn far more often than with another."""
    setup = PairSetup(
        None, demo_guide_path, TEMPLATE, guide_settings=ModelSettings(ctx_size=256), guide_template=source
    )
    with Pair(setup) as pair:
        found = end_probability(pair, one_word_answers())

    assert (found > 1.5 * LIMIT) if source is None else (found < LIMIT / 5)
