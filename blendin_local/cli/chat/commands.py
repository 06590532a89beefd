"""The slash commands of a chat.

Here: `COMMANDS`, one entry each with its help, and `run_command`.
Not here: what the commands do: answers (`cli.chat.answer_commands`), their steps (`cli.chat.step_commands`),
settings (`cli.chat.setting_commands`), files (`cli.chat.file_commands`), editor and clipboard
(`cli.chat.text_commands`); how help looks (`cli.chat.help`).
A command is a function of the chat and the text after its name; what is wrong is a UsageError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.answer_commands import ab, back, clear, continue_answer, fork, retry, undo
from blendin_local.cli.chat.file_commands import load_chat, save_chat, save_chat_over
from blendin_local.cli.chat.help import print_help, print_rows
from blendin_local.cli.chat.setting_commands import set_value, show, system
from blendin_local.cli.chat.settings import PAIR_NAMES, SETTABLE, did_you_mean
from blendin_local.cli.chat.step_commands import VIEWS, stats, tokens, view, why
from blendin_local.cli.chat.text_commands import copy, edit
from blendin_local.errors import UsageError

ASKING, LOOKING, SETTING, KEEPING = "Answers", "Why this answer", "Settings", "Conversation"


@dataclass(frozen=True)
class Command:
    """One slash command.

    Attributes:
        group: The heading that help puts it under.
        usage: What may follow its name.
        help: What it does, in a few words.
        run: What it does.
        words: What completion offers after its name.
    """

    group: str
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
    command_named(name).run(chat, rest.strip())


def command_named(name: str) -> Command:
    """The command with a name or an alias. UsageError with the nearest names if there is none."""
    command = COMMANDS.get(ALIASES.get(name, name))
    if command is None:
        hint = did_you_mean(name, [*COMMANDS, *ALIASES], "/help lists all commands; //text sends /text")
        raise UsageError(f"there is no command {name}", hint)
    return command


def _help(chat: Chat, name: str) -> None:
    if not name:
        print_help(chat.err, COMMANDS)
        return
    name = name if name.startswith("/") else f"/{name}"
    command = command_named(name)
    print_rows(chat.err, {f"{ALIASES.get(name, name)} {command.usage}".strip(): command.help})


def _exit(chat: Chat, _: str) -> None:
    chat.leaving = True


COMMANDS: Mapping[str, Command] = {
    "/retry": Command(
        ASKING, "[TEMP]", "answer the last question again, once at this temperature (also /regen)", retry
    ),
    "/fork": Command(
        ASKING,
        "N [CANDIDATE]",
        "go on from step N with another candidate: its number in /why N, or a text",
        fork,
    ),
    "/continue": Command(ASKING, "", "go on with an answer that was cut or stopped", continue_answer),
    "/back": Command(ASKING, "", "return to the answer before /retry or /fork", back),
    "/undo": Command(ASKING, "", "remove the last question and its answer", undo),
    "/edit": Command(
        ASKING, "[TEXT]", "write the next message in $EDITOR, from TEXT or the last question", edit
    ),
    "/copy": Command(ASKING, "[code]", "copy the last answer, or its last block of code", copy, ("code",)),
    "/why": Command(
        LOOKING,
        "[N | WORD]",
        "show the candidates of step N or of a word (default: the first changed step)",
        why,
    ),
    "/tokens": Command(
        LOOKING, "[asked|changed]", "list the steps of the last answer", tokens, ("asked", "changed")
    ),
    "/view": Command(
        LOOKING,
        f"[{'|'.join(VIEWS)}]",
        "choose what the marks show: which model decided, the probability, or nothing; alone: explain them",
        view,
        VIEWS,
    ),
    "/ab": Command(LOOKING, "", "answer the last question with base, guide, nudging and blendin", ab),
    "/stats": Command(LOOKING, "", "show how often the guide was asked, for each answer", stats),
    "/set": Command(
        SETTING, "[NAME VALUE]", "list the settings, or change one", set_value, (*SETTABLE, *PAIR_NAMES)
    ),
    "/system": Command(SETTING, "[TEXT]", 'show or set the system text; "" removes it', system),
    "/show": Command(
        SETTING,
        "[template]",
        "show the pair and its settings, or the rendered prompt of each model",
        show,
        ("template",),
    ),
    "/save": Command(
        KEEPING, "FILE", "save the conversation with its steps and settings (JSON Lines)", save_chat
    ),
    "/save!": Command(KEEPING, "FILE", "the same, also over a saved conversation", save_chat_over),
    "/load": Command(KEEPING, "FILE", "continue a saved conversation", load_chat),
    "/clear": Command(KEEPING, "", "forget the conversation but keep the system text", clear),
    "/help": Command(KEEPING, "[COMMAND]", "show this list, or one command (also /?)", _help),
    "/exit": Command(KEEPING, "", "leave (also /bye, /quit or Ctrl-D)", _exit),
}
ALIASES: Mapping[str, str] = {"/?": "/help", "/bye": "/exit", "/quit": "/exit", "/regen": "/retry"}
