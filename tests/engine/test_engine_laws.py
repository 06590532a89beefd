"""The laws of engines find the faults they are for: a vocabulary and a context are broken on purpose."""

import pytest

from blendin_local.engine.context import Context
from blendin_local.engine.model import Model
from blendin_local.settings import ModelSettings
from blendin_local.testing import check_engine, check_rewind, check_tokenizer
from tests.toys import make_toy

TEXT = "hello world. the hell or a wheel"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A toy with plain attention."""
    path = make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf", "plain")
    opened = Model(path, ModelSettings(kv_type="f32", flash_attention="off"))
    yield opened
    opened.close()


class Broken:
    """A vocabulary that is another's but for what a test changes."""

    def __init__(self, vocabulary, **changes):
        self.pieces = vocabulary.pieces
        self.tokenize_following = vocabulary.tokenize_following
        self.is_boundary = vocabulary.is_boundary
        vars(self).update(changes)


def test_a_vocabulary_that_changes_the_text_is_found(model):
    """Its tokens say something else than what was tokenized."""
    lower = lambda text: model.vocabulary.tokenize_following(text.upper())  # noqa: E731

    with pytest.raises(AssertionError, match=r"the tokens of 'hello.* are b'HELLO"):
        check_tokenizer(Broken(model.vocabulary, tokenize_following=lower), TEXT)


def test_a_boundary_that_is_none_is_found(model):
    """Between the two letters of one token the tokens are not independent of each other."""
    everywhere = Broken(model.vocabulary, is_boundary=lambda *_: True)

    with pytest.raises(AssertionError, match=r"a boundary after .* that is none|windowed tokenization"):
        check_tokenizer(everywhere, TEXT)


def test_a_rewind_that_keeps_what_it_should_drop_is_found(model):
    """A context that only says that it rewound gives other logits, or cannot read on at all."""

    class Forgetful(Context):
        def rewind(self, sequence, keep):
            super().rewind(sequence, keep)
            if keep == 3:
                sequence.shrink_to(4)

    ids = model.vocabulary.tokenize_following(TEXT)
    with pytest.raises(AssertionError, match="asked to keep 3 tokens, 4 are cached"):
        check_rewind(lambda: Forgetful(model, 512, 1), ids, n_prompt=5, keeps=[3])


def test_logits_of_other_tokens_are_found(model):
    """A context that reads another token in place of the one it dropped."""

    class Mistaken(Context):
        def rewind(self, sequence, keep):
            super().rewind(sequence, keep)
            sequence.ids[keep] = 4 if sequence.ids[keep] != 4 else 5

    ids = model.vocabulary.tokenize_following(TEXT)
    with pytest.raises(AssertionError, match=r"after a rewind to 7 of .* the logits differ"):
        check_rewind(lambda: Mistaken(model, 512, 1), ids, n_prompt=5, keeps=[7])


def test_what_a_rewind_costs_is_told(model):
    """Plain attention drops any tail, so exactly what was dropped is read again."""
    ids = model.vocabulary.tokenize_following(TEXT)
    [rewound] = check_rewind(lambda: Context(model, 512, 1), ids, n_prompt=5, keeps=[7])

    assert (rewound.keep, rewound.left, rewound.evaluated) == (7, 7, len(ids) - 7)


def test_a_right_engine_is_left_in_peace(model):
    """The whole suite, on one text."""
    check_engine(lambda: Context(model, 512, 1), model.vocabulary, texts=[TEXT])
