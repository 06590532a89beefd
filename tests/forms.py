"""Texts against the form that an answer must have, byte by byte, without a model."""

from __future__ import annotations

from functools import cache

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from blendin_local.grammar.compilation import compile_definition
from blendin_local.grammar.definition import definition_of
from blendin_local.settings import AnswerSettings

END = 256


class Bytes:
    """A vocabulary of 256 bytes and the end."""

    def __init__(self):
        self.tokens = [*(bytes([byte]) for byte in range(256)), b"\xff<end>"]
        self.eos_token_id = END
        self.bos_token_id = None
        self.special_token_ids = [END]

    def __call__(self, text):
        return list(text if isinstance(text, bytes) else text.encode())


@cache
def tokenizer():
    return LLTokenizer(TokenizerWrapper(Bytes()))


def grammar_of(**form):
    """A form as llguidance's grammar: `grammar_of(regex="a+")`."""
    definition = definition_of(AnswerSettings(**form))
    assert definition is not None
    return compile_definition(definition)


def may_begin(grammar, text):
    """Whether a text that matches may begin so."""
    matcher = LLMatcher(tokenizer(), grammar, log_level=0)
    data = list(text.encode())
    return matcher.validate_tokens(data) == len(data)


def matches(grammar, text):
    """Whether a whole text matches a grammar."""
    matcher = LLMatcher(tokenizer(), grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    data = list(text.encode())
    return matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()
