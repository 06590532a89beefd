"""The guide's own chat template: conversation to prompt, safely.

Here: `ChatTemplate`: what a template writes, how text of users that spells control tokens is kept apart so
that it stays text, and what happens to a system text that a template does not take.
Not here: the running of a template (`engine.chat_template.renderer`), plain-text templates of the base
(`core.prompts`),
tokenization (`engine.vocabulary`).
Source: design rule "Prompts".
"""

from __future__ import annotations

import datetime
import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from time import monotonic

from blendin_local.engine.chat_template.renderer import (
    TIME_LIMIT_S,
    Rendering,
    TemplateRaisedError,
    renderer,
    unusable,
)
from blendin_local.engine.vocabulary import Span, Vocabulary, joined

OPEN_THOUGHT = "<think>"
CLOSE_THOUGHT = "</think>"
PLACEHOLDERS = range(
    0xF0000, 0x10FFFE
)  # private-use characters, in which a run for a control string is written

Turn = Mapping[str, str]
Stop = Callable[[], bool]


@dataclass(frozen=True)
class _Masked:
    """A conversation whose control strings the template cannot see.

    Attributes:
        turns: With a run of one private-use character, as long as the string, for each.
        strings: The string that each such character replaces. No text of the user or template has these.
    """

    turns: list[Turn]
    strings: Mapping[str, str]

    def spans(self, text: str) -> Iterator[Span]:
        """Split a rendered prompt at the runs: the strings that they replace are not trusted."""
        runs = "|".join(f"{placeholder}{{{len(string)}}}" for placeholder, string in self.strings.items())
        for i, part in enumerate(re.split(f"({runs})", text)):
            yield Span(self.strings[part[0]], trusted=False) if i % 2 else Span(part, trusted=True)


class ChatTemplate:
    """A Jinja chat template together with the vocabulary it writes control tokens of.

    Args:
        source: The template text.
        vocabulary: The guide's.
        date: The date given to a template that asks for it.
        thinking: Whether a model that can think aloud may do so.
    """

    def __init__(
        self, source: str, vocabulary: Vocabulary, *, date: datetime.date, thinking: bool = False
    ) -> None:
        self._source = source
        self._vocabulary = vocabulary
        self._thinking = thinking
        self._rendering = Rendering(
            source=source,
            date=date.isoformat(),
            variables={
                "bos_token": vocabulary.literal(vocabulary.bos_id),
                "eos_token": vocabulary.literal(vocabulary.eos_id),
                "add_generation_prompt": True,
                "enable_thinking": thinking,  # Qwen
                "thinking": thinking,  # Granite, DeepSeek
            },
        )

    @property
    def digest(self) -> str:
        """The sha256 of the template text."""
        return hashlib.sha256(self._source.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def may_use_date(self) -> bool:
        """Whether the template could insert the date: it has a word for it."""
        text = self._source.lower()
        return "strftime" in text or "date" in text

    def render(self, turns: Sequence[Turn], should_stop: Stop = lambda: False) -> tuple[Span, ...]:
        """The prompt for the answer to the last turn.

        Args:
            turns: `role` and `content` of each message.
            should_stop: Polled while the template runs.

        Returns:
            Spans whose joined texts are the prompt.

        Raises:
            PairError: The template raised, ran too long, took too much memory, wrote too much, or leaves out
                the system text in every position.
            KeyboardInterrupt: `should_stop` became true.
        """
        deadline = monotonic() + TIME_LIMIT_S
        is_system = [turn["role"] == "system" for turn in turns]
        try:
            return self._attempt(turns, is_system, deadline, should_stop)
        except TemplateRaisedError as error:  # some templates refuse a system turn, others leave it out
            folded, at = fold_system(turns)
            if at is None:
                raise unusable(str(error)) from error
        try:
            holds_it = [i == at for i in range(len(folded))]
            return self._attempt(folded, holds_it, deadline, should_stop)
        except TemplateRaisedError as error:
            raise unusable(str(error)) from error

    def _attempt(
        self, turns: Sequence[Turn], needed: Sequence[bool], deadline: float, should_stop: Stop
    ) -> tuple[Span, ...]:
        """The prompt for these turns.

        Three conversations are rendered: the given one; one of the same shape with numbers as texts, which
        shows what the template itself writes; and the given one with its control strings replaced.
        """
        numbers = [{**turn, "content": _number(turn["content"])} for turn in turns]
        masked = self._mask(turns)
        conversations: list[Sequence[Turn]] = [turns, numbers, *([masked.turns] if masked else [])]
        plain, shape, *seen = renderer().render(
            self._rendering, conversations, deadline - monotonic(), should_stop
        )
        if not all(_core(turn["content"]) in shape for turn in compress(numbers, needed)):
            raise TemplateRaisedError("it leaves out the system text")
        spans = joined(list(masked.spans(seen[0]))) if masked else ()
        if "".join(span.text for span in spans) != plain:
            spans = (Span(plain, trusted=True),)  # the template treats such texts otherwise than others
        return self._without_thought(self._distrust_copies(spans, shape))

    def _mask(self, turns: Sequence[Turn]) -> _Masked | None:
        """Put a run of a private-use character for every control string in the turns; None if none is."""
        controls, texts = self._vocabulary.controls, [turn["content"] for turn in turns]
        present = {string for text in texts for _, string in controls.find(text)}
        if not present:
            return None
        taken = {*self._source, *(c for text in texts for c in text)}
        free = (
            placeholder
            for n in iter(lambda: secrets.choice(PLACEHOLDERS), None)
            if (placeholder := chr(n)) not in taken
        )
        strings: dict[str, str] = {}
        for string in present:
            placeholder = next(free)
            while placeholder in strings:
                placeholder = next(free)
            strings[placeholder] = string
        placeholders = {string: placeholder for placeholder, string in strings.items()}

        def mask(text: str) -> str:
            parts, end = [], 0
            for start, string in controls.find(text):
                parts += [text[end:start], placeholders[string] * len(string)]
                end = start + len(string)
            return "".join([*parts, text[end:]])

        return _Masked([{**turn, "content": mask(turn["content"])} for turn in turns], strings)

    def _distrust_copies(self, spans: Sequence[Span], shape: str) -> tuple[Span, ...]:
        """Trust no control string that is written more often than for harmless text of the same shape.

        A template can produce one from text without any (`lower`, `replace`), or treat text that contains one
        differently. Then no occurrence of that string is certain, and all are kept as text.
        """
        controls = self._vocabulary.controls
        expected = Counter(string for _, string in controls.find(shape))
        written = Counter(string for span in spans if span.trusted for _, string in controls.find(span.text))
        doubtful = {string for string, n in written.items() if n > expected[string]}
        if not doubtful:
            return joined(spans)
        found: list[Span] = []
        for span in spans:
            end = 0
            for start, string in controls.find(span.text) if span.trusted else ():
                if string in doubtful:
                    found += [Span(span.text[end:start], trusted=True), Span(string, trusted=False)]
                    end = start + len(string)
            found.append(Span(span.text[end:], span.trusted))
        return joined(found)

    def _without_thought(self, spans: tuple[Span, ...]) -> tuple[Span, ...]:
        """Close a thought that the template opened although thinking is off."""
        if self._thinking or not spans or not spans[-1].trusted:
            return spans
        text = spans[-1].text.rstrip()
        if not text.endswith(OPEN_THOUGHT):
            return spans
        return (*spans[:-1], Span(f"{text}\n\n{CLOSE_THOUGHT}\n\n", trusted=True))


def _number(content: str) -> str:
    """Text that no template, tokenizer or user knows; as empty as the content."""
    return str(10**11 + secrets.randbelow(10**11)) if content.strip() else content


def _core(number: str) -> str:
    """What is left of a number where a template trims or cuts a little."""
    return number.strip()[2:-2]


def fold_system(turns: Sequence[Turn]) -> tuple[list[Turn], int | None]:
    """Put the system text at the head of the first user turn, for templates that know no system turn.

    Returns:
        The turns, and which of them has it now; None if there is no system text or no user turn.
    """
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    rest = [turn for turn in turns if turn["role"] != "system"]
    at = next((i for i, turn in enumerate(rest) if turn["role"] == "user"), None)
    if not system or at is None:
        return list(turns), None
    rest[at] = {**rest[at], "content": f"{system}\n\n{rest[at]['content']}"}
    return rest, at
