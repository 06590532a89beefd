"""The guide's own chat template: conversation to prompt, safely.

Here: `ChatTemplate`, rendering in Jinja's sandbox with a time limit; user text that spells control tokens is
kept apart so that it stays text.
Not here: plain-text templates of the base (`core.prompts`), tokenization (`engine.vocabulary`).
Source: the Jinja environment of llama-cpp-python's formatter, which follows Transformers'.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from types import FrameType
from typing import Any

from blendin_local.engine.vocabulary import Span, Vocabulary
from blendin_local.errors import PairError

TIME_LIMIT_S = 5.0
LENGTH_LIMIT = 10_000_000  # characters of a rendered prompt
SEAM = "\ue000{}\ue001"  # private-use characters around the number of a neutralised string
OPEN_THOUGHT = "<think>"
CLOSE_THOUGHT = "</think>"

Turn = Mapping[str, str]


class TemplateTimeoutError(Exception):
    """The template ran longer than `TIME_LIMIT_S`."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt Python code of this thread, line by line, once `seconds` are over."""
    deadline = monotonic() + seconds

    def watch(_frame: FrameType, _event: str, _argument: Any) -> Any:
        if monotonic() > deadline:
            raise TemplateTimeoutError
        return watch

    previous = sys.gettrace()
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(previous)


class ChatTemplate:
    """A Jinja chat template together with the vocabulary it writes control tokens of.

    Args:
        source: The template text.
        vocabulary: The guide's.
        thinking: Whether a model that can think aloud may do so.

    Raises:
        PairError: The template is not valid Jinja.
    """

    def __init__(self, source: str, vocabulary: Vocabulary, *, thinking: bool = False) -> None:
        self._vocabulary = vocabulary
        self._thinking = thinking
        formats = importlib.import_module("llama_cpp.llama_chat_format")
        bos, eos = vocabulary.literal(vocabulary.bos_id), vocabulary.literal(vocabulary.eos_id)
        try:
            formatter = formats.Jinja2ChatFormatter(template=source, eos_token=eos, bos_token=bos)
        except Exception as error:
            raise self._unusable(error) from error
        self._template = formatter._environment  # the compiled template, despite its name
        self._constants = {
            "bos_token": bos,
            "eos_token": eos,
            "add_generation_prompt": True,
            "enable_thinking": thinking,
            "strftime_now": lambda form: datetime.now().strftime(form),
            "raise_exception": _raise,
        }

    def render(self, turns: Sequence[Turn]) -> tuple[Span, ...]:
        """The prompt for the answer to the last turn.

        Args:
            turns: `role` and `content` of each message.

        Returns:
            Spans whose joined texts are the prompt.

        Raises:
            PairError: The template raised, ran too long, or wrote too much.
        """
        neutral, literals = self._neutralise(turns)
        try:
            text = self._run(neutral)
        except PairError:
            folded = fold_system(neutral)
            if folded == neutral:
                raise
            text = self._run(folded)  # some templates refuse a system turn
        return tuple(self._spans(self._without_thought(text), literals))

    def _run(self, turns: Sequence[Turn]) -> str:
        try:
            with time_limit(TIME_LIMIT_S):
                text = str(self._template.render(messages=list(turns), **self._constants))
        except TemplateTimeoutError as error:
            raise self._unusable(f"it did not end within {TIME_LIMIT_S:g} s") from error
        except Exception as error:
            raise self._unusable(error) from error
        if len(text) > LENGTH_LIMIT:
            raise self._unusable(f"it wrote {len(text)} characters")
        return text

    def _unusable(self, reason: object) -> PairError:
        return PairError(
            f"the guide's chat template cannot be used: {reason}",
            "give another with --guide-chat-template-file, or an exact prompt with --guide-prompt-file",
        )

    def _neutralise(self, turns: Sequence[Turn]) -> tuple[list[Turn], list[str]]:
        """Replace control strings in the turns by numbered seams, so that the template cannot see them."""
        literals: list[str] = []
        everything = "".join(turn["content"] for turn in turns)
        present = [control for control in self._vocabulary.control_strings if control in everything]
        if not present:
            return list(turns), literals
        pattern = re.compile("|".join(map(re.escape, present)))

        def seam(match: re.Match[str]) -> str:
            literals.append(match.group())
            return SEAM.format(len(literals) - 1)

        return [{**turn, "content": pattern.sub(seam, turn["content"])} for turn in turns], literals

    def _spans(self, text: str, literals: Sequence[str]) -> Iterator[Span]:
        """Cut a rendered prompt at the seams: the template's own writing is trusted, the literals are not."""
        if not literals:
            yield Span(text, trusted=True)
            return
        parts = re.split(SEAM.format("([0-9]+)"), text)
        for i, part in enumerate(parts):
            if i % 2:
                yield Span(literals[int(part)], trusted=False)
            elif part:
                yield Span(part, trusted=True)

    def _without_thought(self, text: str) -> str:
        """Close a thought that the template opened although thinking is off."""
        opened = text.rstrip().endswith(OPEN_THOUGHT)
        return f"{text.rstrip()}\n\n{CLOSE_THOUGHT}\n\n" if opened and not self._thinking else text


def _raise(message: str) -> None:
    raise ValueError(message)


def fold_system(turns: Sequence[Turn]) -> list[Turn]:
    """Put the system text at the head of the first user turn, for templates that know no system turn."""
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    rest = [turn for turn in turns if turn["role"] != "system"]
    if not system or not rest:
        return list(turns)
    return [{**rest[0], "content": f"{system}\n\n{rest[0]['content']}"}, *rest[1:]]
