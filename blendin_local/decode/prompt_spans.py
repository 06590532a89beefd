"""Comparing rendered prompts: their common prefix, and where control tokens are.

Here: pure functions on spans.
Not here: what is done with what prompts share (`decode.role_context`), how they are rendered
(`engine.chat_template.template`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from blendin_local.engine.control_strings import ControlStrings
from blendin_local.engine.sequence import common_prefix
from blendin_local.engine.vocabulary import Span, joined


def text_of(spans: Sequence[Span]) -> str:
    """The text of a prompt."""
    return "".join(span.text for span in spans)


def digest_of(spans: Sequence[Span]) -> str:
    """The sha256 of a prompt: of its text, and of where it may hold control tokens."""
    facts = json.dumps([(span.text, span.trusted) for span in joined(spans)])
    return hashlib.sha256(facts.encode()).hexdigest()


def after(spans: Sequence[Span], n: int) -> list[Span]:
    """What follows the first n characters."""
    left: list[Span] = []
    for span in spans:
        if len(span.text) > n:
            left.append(Span(span.text[n:], span.trusted))
        n = max(0, n - len(span.text))
    return left


def common_length(left: Sequence[Span], right: Sequence[Span]) -> int:
    """How many characters two joined prompts share from the left, in text and in trust."""
    n = 0
    for ours, theirs in zip(left, right, strict=False):
        if ours != theirs:
            same_trust = ours.trusted == theirs.trusted
            return n + (common_prefix(ours.text, theirs.text) if same_trust else 0)
        n += len(ours.text)
    return n


def control_positions(controls: ControlStrings, spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
    """Start and end of every string that becomes a control token."""
    start = 0
    for span in spans:
        for at, string in controls.find(span.text) if span.trusted else ():
            yield start + at, start + at + len(string)
        start += len(span.text)
