"""What llguidance says of a grammar: read, made into a matcher, and asked for the first time.

Here: `problem_of`; `LIMITS`, which hold for every matcher.
Not here: what its messages mean (`grammar.messages`), limits on time and memory (`grammar.compilation`).
"""

from __future__ import annotations

from functools import cache

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from blendin_local.grammar.messages import ENDLESS, MAX_FORCED
from blendin_local.grammar.vocabulary import GrammarVocabulary

LIMITS = LLParserLimits(verbose_errors=False)
"""Those of llguidance itself; its messages do not repeat the whole grammar."""


@cache
def _tokenizer() -> LLTokenizer:
    return GrammarVocabulary().tokenizer


def problem_of(grammar: str) -> str:
    """What is wrong with a grammar, in llguidance's words; empty if nothing is."""
    is_error, messages = LLMatcher.validate_grammar_with_warnings(grammar, limits=LIMITS)
    if is_error:
        return messages[0]
    matcher = LLMatcher(_tokenizer(), grammar, log_level=0, limits=LIMITS)
    if not matcher.is_error():
        matcher.compute_bitmask()
        if len(matcher.compute_ff_bytes()) > MAX_FORCED:
            return ENDLESS
    return matcher.get_error()
