"""What a chat is made of: the pair that answers, its settings, its turns.

Here: the protocols that a pair implements, `ChatStart`, and `ChatHistory`, the one mutable object of a chat.
Not here: a turn (`history.records`), how it is made (`cli.chat.answer`), commands (`cli.chat.commands`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from blendin_local.core.answer_start import AnswerStart
from blendin_local.core.prompts import Message
from blendin_local.core.records import Completion, Step
from blendin_local.history.records import Turn
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings, TerminalSettings
from blendin_local.views.answer import View

if TYPE_CHECKING:
    from blendin_local.cli.common.status import Reading


class StreamedAnswer(Protocol):
    """What a chat needs of an answer while it grows; `AnswerStream` is one."""

    def shown(self) -> Iterator[tuple[Step, str]]:
        """Steps with the text to show; text that may be the beginning of a stop string is held back."""

    @property
    def reading(self) -> Reading | None:
        """How far the prompt that is being read has been read; another thread looks."""

    @property
    def completion(self) -> Completion:
        """The whole answer, after the iteration ended."""

    @property
    def signature(self) -> Mapping[str, Any]:
        """Everything that decides which bytes the answer has; two answers with the same one are the same."""

    def close(self) -> None:
        """Give up the answer."""


class ChatPair(Protocol):
    """What a chat needs of a pair; `Pair` is one."""

    def stream(
        self,
        conversation: Sequence[Message],
        /,
        *,
        blend: BlendSettings,
        sampling: SamplingSettings,
        answer: AnswerSettings,
        answer_start: AnswerStart,
        should_stop: Callable[[], bool],
    ) -> StreamedAnswer:
        """Begin the answer to the last message; raises ContextFullError if the prompt does not fit."""

    def prompts(self, conversation: Sequence[Message], /, *, answer: AnswerSettings) -> Mapping[str, str]:
        """The rendered prompt of each role for an answer with these settings."""

    def describe(self) -> Mapping[str, str]:
        """Lines about the pair: files, contexts, template."""


class PairOpener(Protocol):
    """What changes settings of the pair itself; `cli.chat.opening.OpenedPair` does."""

    @property
    def pair(self) -> ChatPair:
        """The open pair."""

    def values(self) -> Mapping[str, str]:
        """The value of every such setting, as text, by its name."""

    def change(self, name: str, text: str) -> ChatPair:
        """The pair with another value, opened anew if need be; on an error the pair stays as it was."""


@dataclass(frozen=True)
class ChatSettings:
    """What `/set` and `/view` change.

    Attributes:
        blend: Method, threshold, alpha.
        sampling: Temperature and its companions.
        answer: Limits. `/why` shows lists of candidates if `top_logprobs` is above 0, else first choices.
        terminal: Theme, marks, Markdown.
        view: What the marks in an answer show.
    """

    blend: BlendSettings = field(default_factory=BlendSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    answer: AnswerSettings = field(default_factory=lambda: AnswerSettings(top_logprobs=8))
    terminal: TerminalSettings = field(default_factory=TerminalSettings)
    view: View = "source"


@dataclass(frozen=True)
class ChatStart:
    """How a chat begins.

    Attributes:
        system: Instructions; may be empty.
        settings: Initial settings.
        methods: The names `/set method` takes, in the order of `/ab`.
        message: The first message; empty if the user is to type it.
        files: Texts of files, put before the first message.
        opener: Changes settings of the pair itself, such as `ctx-size`; None if these are fixed.
        turns: The turns that it goes on from.
        keep_lines: Whether typed lines are kept for recall in the next chat.
    """

    system: str = ""
    settings: ChatSettings = field(default_factory=ChatSettings)
    methods: tuple[str, ...] = ("base", "guide", "nudging", "blendin")
    message: str = ""
    files: str = ""
    opener: PairOpener | None = None

    turns: tuple[Turn, ...] = ()
    keep_lines: bool = True


@dataclass
class ChatHistory:
    """The conversation so far, with the settings of the next answer.

    Attributes:
        system: Instructions; may be empty.
        settings: Those of the next answer.
        turns: Questions with their answers.
        replaced: The last turn with its earlier answers, the latest at the end.
    """

    system: str = ""
    settings: ChatSettings = field(default_factory=ChatSettings)
    turns: list[Turn] = field(default_factory=list)
    replaced: list[Turn] = field(default_factory=list)

    def messages(self, question: str | None = None, *, skip: int = 0) -> list[Message]:
        """The system text, the turns after the first `skip`, and a question that has no answer yet."""
        messages = [Message("system", self.system)] if self.system else []
        for turn in self.turns[skip:]:
            messages += [Message("user", turn.question), Message("assistant", turn.answer)]
        return messages if question is None else [*messages, Message("user", question)]

    @property
    def completions(self) -> list[Completion]:
        """The answers made in this session that are still part of the conversation."""
        return [turn.completion for turn in self.turns if turn.completion is not None]
