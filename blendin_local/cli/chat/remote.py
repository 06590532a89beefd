"""A chat with the pair of a running `blendin serve`.

Here: `RemotePair`, which answers as an open pair does; `open_remote_pair`; `remote_start`, what the chat
begins with.
Not here: which server (`cli.common.find_server`), the connection (`server.client`).
The settings of the conversation are the chat's and are sent with each question, all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from blendin_local.cli.chat.state import ChatSettings, ChatStart
from blendin_local.cli.common.find_server import ChosenServer
from blendin_local.cli.common.options import SessionOptions
from blendin_local.cli.common.remote_options import refuse_options_of_models
from blendin_local.core.answer_start import AnswerStart, start_steps
from blendin_local.core.prompts import Message, messages_to_json
from blendin_local.core.record_json import step_to_json
from blendin_local.errors import ServiceError, UsageError
from blendin_local.history.records import Opening
from blendin_local.server.client import RemoteAnswer, Server
from blendin_local.server.exact_settings import exact_from_json, exact_to_json
from blendin_local.settings import (
    AnswerSettings,
    BlendSettings,
    SamplingSettings,
    TerminalSettings,
    of_one_form,
)


class RemotePair:
    """The pair of a server, as a chat uses one.

    Args:
        server: Where it is.
        facts: What it says of its pair.
        defaults: `server` for settings as the server was started, `pair` for those of its pair alone.

    Attributes:
        methods: The methods that its models allow.
        opening: How its models were opened, for the history.
    """

    def __init__(self, server: Server, facts: Mapping[str, Any], defaults: str) -> None:
        self._server = server
        try:
            self._lines: dict[str, str] = {"server": server.url, **facts["describe"]}
            self.methods: tuple[str, ...] = tuple(facts["methods"])
            opening, begun = facts["opening"], facts["defaults"][defaults]
            self.opening = Opening("chat", opening["pair"], opening["models"], opening["options"])
            self._settings = exact_from_json(begun["settings"])
            self.system = str(begun["system"])
        except (KeyError, TypeError) as error:
            raise ServiceError(
                f"the server at {server.url} does not say what a chat needs",
                "use the same version of blendin on both sides",
            ) from error

    def settings(self, terminal: TerminalSettings) -> ChatSettings:
        """The settings with which a chat begins."""
        return ChatSettings(*self._settings, terminal)

    def stream(
        self,
        conversation: Sequence[Message],
        /,
        *,
        blend: BlendSettings,
        sampling: SamplingSettings,
        answer: AnswerSettings,
        answer_start: AnswerStart = (),
        should_stop: Callable[[], bool],
    ) -> RemoteAnswer:
        """Begin the answer to the last message.

        Raises:
            ContextFullError: The conversation does not fit.
            BlendinError: The server refuses it, or cannot be reached.
        """
        body = {
            "messages": messages_to_json(conversation),
            "exact": exact_to_json(blend, sampling, answer),
            "answer_start": [step_to_json(step) for step in start_steps(answer_start)],
        }
        begun = RemoteAnswer(self._server, body, should_stop)
        begun.begin()
        return begun

    def prompts(self, conversation: Sequence[Message], /, *, answer: AnswerSettings) -> Mapping[str, str]:
        """The rendered prompt of each role for an answer with these settings."""
        exact = exact_to_json(BlendSettings(), SamplingSettings(), answer)
        body = {"messages": messages_to_json(conversation), "exact": exact}
        prompts: Mapping[str, str] = self._server.post_for("/v1/prompts", body)["prompts"]
        return prompts

    def describe(self) -> Mapping[str, str]:
        """Lines about the pair: the server, files, contexts, template."""
        return self._lines


def open_remote_pair(chosen: ChosenServer, options: SessionOptions) -> RemotePair:
    """The pair of a server.

    Raises:
        UsageError: An option is the server's matter, or it has another pair than the one that is named.
        ServiceError: Nobody answers.
    """
    if not chosen.found:
        refuse_options_of_models(options)
    facts = chosen.server.get("/v1/pair")
    wanted = options.models.pair
    if wanted and not chosen.found and wanted != facts.get("name"):
        raise UsageError(
            f"the server at {chosen.server.url} has the pair {facts.get('name')!s:.80}, not {wanted}",
            "leave --pair out",
        )
    return RemotePair(chosen.server, facts, "pair" if chosen.found else "server")


def remote_start(start: ChatStart, pair: RemotePair, options: SessionOptions) -> ChatStart:
    """What a chat begins with: the settings of the server, and those that were given.

    Args:
        start: What it begins with otherwise.
        pair: The pair.
        options: Those of the command line.
    """
    settings = pair.settings(start.settings.terminal)
    settings = replace(
        settings,
        blend=replace(settings.blend, **options.blend.settings()),
        sampling=replace(settings.sampling, **options.sampling.settings()),
        answer=replace(settings.answer, **of_one_form(options.answer.settings())),
    )
    if settings.blend.method not in pair.methods:
        raise UsageError(
            f"the server's pair has no method {settings.blend.method}",
            f"choose one of {', '.join(pair.methods)}",
        )
    system = options.answer.system_text()
    return replace(
        start,
        system=pair.system if system is None else system,
        settings=settings,
        methods=pair.methods,
        opener=None,
    )
