"""The slash commands of a chat.

Here: `COMMANDS`, one entry each with its help, and `run_command`.
Not here: what the commands do: answers (`cli.chat.answer_commands`), their steps (`cli.chat.step_commands`),
settings (`cli.chat.setting_commands`), files (`cli.chat.file_commands`).
A command is a function of the chat and the text after its name; what is wrong is a UsageError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.answer_commands import ab, clear, retry, undo
from blendin_local.cli.chat.file_commands import load_chat, save_chat, save_chat_over
from blendin_local.cli.chat.listing import listing
from blendin_local.cli.chat.setting_commands import set_value, show, system
from blendin_local.cli.chat.settings import SETTABLE, did_you_mean
from blendin_local.cli.chat.step_commands import VIEWS, stats, tokens, view, why
from blendin_local.errors import UsageError


@dataclass(frozen=True)
class Command:
    """One slash command.

    Attributes:
        usage: What may follow its name.
        help: What it does, in a few words.
        run: What it does.
        words: What completion offers after its name.
    """

    usage: str
    help: str
    run: Callable[[Chat, str], None]
    words: tuple[str, ...] = ()


def run_command(chat: Chat, line: str) -> None:
    """Carry out a line that begins with one slash.

    Raises:
        UsageError: There is no such command, or it cannot be carried out.
    """
    name, _, rest = line.strip().partition(" ")
    command = COMMANDS.get(ALIASES.get(name, name))
    if command is None:
        hint = did_you_mean(name, [*COMMANDS, *ALIASES], "/help lists all commands; //text sends /text")
        raise UsageError(f"there is no command {name}", hint)
    command.run(chat, rest.strip())


def completions() -> dict[str, tuple[str, ...]]:
    """What can be typed after each command."""
    return {name: command.words for name, command in COMMANDS.items()}


def _help(chat: Chat, _: str) -> None:
    chat.err.print(
        listing({f"{name} {command.usage}".strip(): command.help for name, command in COMMANDS.items()})
    )
    chat.notice(
        'Enter sends, Alt+Enter starts a new line, """ opens and closes a block.'
        " Ctrl-C stops an answer and keeps it, Ctrl-D leaves. //text sends /text."
    )


def _exit(chat: Chat, _: str) -> None:
    chat.leaving = True


COMMANDS: Mapping[str, Command] = {
    "/help": Command("", "show this list (also /?)", _help),
    "/exit": Command("", "leave (also /bye, /quit or Ctrl-D)", _exit),
    "/clear": Command("", "forget the conversation but keep the system text", clear),
    "/retry": Command("", "answer the last question again (also /regen)", retry),
    "/undo": Command("", "remove the last question and its answer", undo),
    "/system": Command("[TEXT]", 'show or set the system text; "" removes it', system),
    "/set": Command("[NAME VALUE]", "list the settings, or change one", set_value, tuple(SETTABLE)),
    "/show": Command(
        "[template]",
        "show the pair and its settings, or the rendered prompt of each model",
        show,
        ("template",),
    ),
    "/why": Command("[N]", "show the candidates of step N (default: the first changed step)", why),
    "/tokens": Command("[asked|changed]", "list the steps of the last answer", tokens, ("asked", "changed")),
    "/ab": Command("", "answer the last question with base, guide, nudging and blendin", ab),
    "/view": Command(
        f"[{'|'.join(VIEWS)}]",
        "choose what the marks show: which model decided, the probability, or nothing; alone: explain them",
        view,
        VIEWS,
    ),
    "/save": Command("FILE", "save the conversation with its steps and settings (JSON Lines)", save_chat),
    "/save!": Command("FILE", "the same, also over a saved conversation", save_chat_over),
    "/load": Command("FILE", "continue a saved conversation", load_chat),
    "/stats": Command("", "show how often the guide was asked, for each answer", stats),
}
ALIASES: Mapping[str, str] = {"/?": "/help", "/bye": "/exit", "/quit": "/exit", "/regen": "/retry"}
