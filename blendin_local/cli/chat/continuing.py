"""`blendin chat --continue`: a conversation of the history, with its pair and settings.

Here: `find_conversation`; `continued_options`, which models to open; `continued_start`, what the chat begins
with; `show_earlier`. What is given on the command line wins over the conversation, and that
over environment variables.
Not here: reading the history (`history.queries`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from rich.text import Text

from blendin_local.cli.chat.files import settings_from_json
from blendin_local.cli.chat.state import ChatSettings, ChatStart
from blendin_local.cli.common.options import SHOWN_CANDIDATES, ModelOptions, RuntimeOptions, SessionOptions
from blendin_local.core.roles import ROLES
from blendin_local.errors import UsageError
from blendin_local.history.place import history_file
from blendin_local.history.queries import newest, read
from blendin_local.history.records import Conversation
from blendin_local.settings import of_one_form
from blendin_local.views.history import print_turn, title
from blendin_local.views.theme import Consoles

NAMES = frozenset({"pair", *ROLES})  # one given means other models
EXACT_PROMPTS = frozenset({"base_prompt_file", "guide_prompt_file"})


def find_conversation(number: int | None) -> Conversation:
    """The conversation with a number; the latest for None.

    Raises:
        HistoryError: The history cannot be read.
        UsageError: There is no such conversation, or it cannot be continued.
    """
    path = history_file()
    conversation = read(path, newest(path) if number is None else number)
    if EXACT_PROMPTS & set(conversation.opening.options):
        raise UsageError(
            f"conversation {conversation.id} was asked with exact prompts, so it cannot be continued",
            "choose another one with --conversation; blendin logs lists them",
        )
    return conversation


def continued_options(
    options: SessionOptions, conversation: Conversation, given: Collection[str]
) -> SessionOptions:
    """The options of this chat, completed by those with which the conversation was opened.

    Args:
        options: Those of this chat, from the command line and the environment.
        conversation: What is continued.
        given: The names of options that stand on the command line.
    """
    if NAMES & set(given):
        return options
    opening = conversation.opening
    kept = dict.fromkeys(NAMES) | dict(opening.options)
    if not (kept["base"] or kept["guide"]):
        kept["pair"] = kept["pair"] or opening.pair or None
    method = conversation.context.settings.get("blend", {}).get("method")
    blend = options.blend if "method" in given else options.blend.having(method=method)
    models = {name: value for name, value in _known(ModelOptions, kept).items() if name not in given}
    runtime = {name: value for name, value in _known(RuntimeOptions, kept).items() if name not in given}
    return replace(
        options,
        models=replace(options.models, **models),
        runtime=options.runtime.having(**runtime),
        blend=blend,
    )


def continued_start(
    start: ChatStart, options: SessionOptions, conversation: Conversation, given: Collection[str]
) -> ChatStart:
    """What the chat begins with: the conversation's turns, its system text and its settings.

    Args:
        start: What it would begin with otherwise.
        options: The options of this chat.
        conversation: What is continued.
        given: The names of options that stand on the command line.

    Raises:
        UsageError: The conversation's settings cannot be read, or do not suit those given.
    """
    turns = tuple(kept.turn for kept in conversation.standing)
    system = start.system if {"system", "system_file"} & set(given) else conversation.context.system
    if NAMES & set(given):
        return replace(start, turns=turns, system=system)
    settings = settings_from_json(
        start.settings, conversation.context.settings, f"conversation {conversation.id}"
    )
    return replace(start, turns=turns, system=system, settings=_with_given(settings, options, given))


def _with_given(settings: ChatSettings, options: SessionOptions, given: Collection[str]) -> ChatSettings:
    groups = {"blend": options.blend, "sampling": options.sampling, "answer": options.answer}
    for part, group in groups.items():
        values = of_one_form(group.only(given).settings())
        settings = replace(settings, **{part: replace(getattr(settings, part), **values)})
    if not settings.answer.top_logprobs and "top_logprobs" not in given:  # an answer of `run` keeps none
        settings = replace(settings, answer=replace(settings.answer, top_logprobs=SHOWN_CANDIDATES))
    return settings


def _known(group: type, values: dict[str, Any]) -> dict[str, Any]:
    """Those values that a group has options for, paths as paths."""
    hints = get_type_hints(group)
    return {
        each.name: Path(values[each.name])
        if hints.get(each.name) == Path | None and values[each.name] is not None
        else values[each.name]
        for each in fields(group)
        if each.name in values
    }


def show_earlier(conversation: Conversation, consoles: Consoles) -> None:
    """Say what is continued; on a terminal show its last turn too."""
    consoles.err.print(Text(f"Going on with {title(conversation)}", style="notice"))
    if conversation.standing and consoles.out.is_terminal:
        print_turn(conversation.standing[-1].turn, consoles.out, plain=consoles.settings.plain)
