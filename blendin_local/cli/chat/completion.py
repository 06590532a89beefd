"""What Tab offers in a chat: commands, names and values of settings, views, files, steps of the last answer.

Here: `ChatCompleter`, which a line of the terminal asks.
Not here: the line itself (`cli.chat.reader`), what commands do (`cli.chat.commands`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from blendin_local.cli.chat.settings import OF_PAIR, PAIR_NAMES, SETTABLE, values_as_text

if TYPE_CHECKING:
    from blendin_local.cli.chat.answer import Chat
    from blendin_local.cli.chat.commands import Command

Words = Mapping[str, str]  # each with what stands beside it
MAX_BESIDE = 30  # characters of a step's text


class ChatCompleter(Completer):
    """Completes slash commands and what follows them, and nothing in ordinary messages.

    Args:
        chat: The chat, whose settings and last answer are offered.
        commands: The commands, by name with the slash.
    """

    def __init__(self, chat: Chat, commands: Mapping[str, Command]) -> None:
        self._chat = chat
        self._commands = commands
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Words that begin like what stands before the cursor."""
        line = document.text_before_cursor
        if not line.startswith("/") or "\n" in line:
            return
        command, blank, rest = line.partition(" ")
        if not blank:
            helps = {name: each.help for name, each in self._commands.items()}
            yield from _starting(helps, command)
        elif command in FILES:
            yield from self._paths.get_completions(Document(rest), complete_event)
        elif command == "/set" and (begun := _file_begun(rest)) is not None:
            yield from self._paths.get_completions(Document(begun), complete_event)
        elif command in ARGUMENTS:
            yield from ARGUMENTS[command](self._chat, rest)
        elif command in self._commands:
            yield from _starting(dict.fromkeys(self._commands[command].words, ""), rest)


def _file_begun(rest: str) -> str | None:
    """The begun name of a file, after a setting whose text may be in one; else None."""
    name, blank, value = rest.replace("=", " ", 1).partition(" ")
    setting = SETTABLE.get(name.replace("_", "-").lower(), ("", None))[1]
    may_be_file = setting is not None and setting.text is not None and setting.text.beginning is not None
    return value if blank and value and may_be_file else None


def _setting(chat: Chat, rest: str) -> Iterator[Completion]:
    """Names of settings with their values; after a name and a blank or =, the words that it takes."""
    name, blank, value = rest.replace("=", " ", 1).partition(" ")
    if not blank:
        return _starting(values_as_text(chat.history.settings) | dict.fromkeys(PAIR_NAMES, ""), name)
    known = {word: setting for word, (_, setting) in SETTABLE.items()} | dict(OF_PAIR)
    setting = known.get(name.replace("_", "-").lower())
    words = () if setting is None else setting.all_words
    allowed = [word for word in words if name != "method" or word in chat.methods]
    return _starting(dict.fromkeys(allowed, ""), value)


def _step(chat: Chat, rest: str) -> Iterator[Completion]:
    """Numbers of the steps at which the guide was asked, each with its text."""
    answers = chat.history.completions
    steps = [step for step in answers[-1].steps if step.asked] if answers else []
    texts = {str(step.i): f"{step.text.strip()[:MAX_BESIDE]} ({step.source})" for step in steps}
    return _starting(texts, rest)


ARGUMENTS: Mapping[str, Callable[[Chat, str], Iterator[Completion]]] = {"/set": _setting, "/why": _step}
FILES = ("/load", "/save", "/save!")


def _starting(words: Words, begun: str) -> Iterator[Completion]:
    return (
        Completion(word, -len(begun), display_meta=beside)
        for word, beside in words.items()
        if word.startswith(begun) and word != begun
    )
