"""One turn of a chat: ask the pair, print the answer as it grows, keep it.

Here: `Chat`, which the commands and the loop share.
Not here: reading input (`cli.chat.reader`), commands (`cli.chat.commands`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from blendin_local.cli.chat.state import ChatHistory, ChatPair, ChatSettings, ChatStart, StreamedAnswer
from blendin_local.cli.common.interrupt import stop_on_interrupt
from blendin_local.cli.common.screen import dress_consoles
from blendin_local.cli.common.status import status_line
from blendin_local.core.records import Completion, Step
from blendin_local.errors import BlendinError, ContextFullError
from blendin_local.history.records import Turn
from blendin_local.views.answer import counted, error_line, footer, is_excessive
from blendin_local.views.answer_printer import AnswerPrinter
from blendin_local.views.form import has_form

COMPARED = frozenset({"base", "guide", "nudging", "blendin"})  # and the one that is set


class Chat:
    """A conversation with a pair on two consoles.

    Attributes:
        pair: Who answers.
        history: The conversation so far, and the settings of the next answer.
        methods: Names of methods in the order of `/ab`.
        opener: Changes settings of the pair itself; None if these are fixed.
        files: Texts of files that go with the next question.
        out: Where answers go, and nothing else.
        err: Where everything else goes.
        leaving: Set by `/exit`.
        stopped: Whether the user stopped the latest answer.
    """

    def __init__(self, pair: ChatPair, start: ChatStart, out: Console, err: Console) -> None:
        self.pair = pair
        self.history = ChatHistory(start.system, start.settings, list(start.turns))
        self.methods = start.methods
        self.opener = start.opener
        self.files = start.files
        self.out = out
        self.err = err
        self.leaving = False
        self.stopped = False
        self._notices_shown: set[str] = set()
        self._warned = False  # that the guide was asked too often: once is enough

    def ask(
        self, question: str, *, start: Sequence[Step] = (), settings: ChatSettings | None = None
    ) -> Turn | None:
        """Answer a question and add the turn; an interrupted answer is kept as far as it got.

        Args:
            question: The question, without the files that wait for it.
            start: The steps that the answer begins with.
            settings: Those of this answer alone; None for those of the conversation.

        Returns:
            The turn, or None if it was stopped before the first word.
        """
        question = "\n\n".join(filter(None, [self.files, question]))
        turn, dropped = self._answer(question, settings or self.history.settings, start)
        if self.stopped and not turn.answer:
            self.notice("Stopped before the first word; the question is not kept.")
            return None
        self.files = ""
        del self.history.turns[:dropped]
        self.history.turns.append(turn)
        self.history.replaced.clear()
        if turn.completion is not None:
            self._after(turn.completion)
        return turn

    def would_repeat(self, turn: Turn, settings: ChatSettings) -> bool:
        """Whether another answer to the question of the last turn would be the one that it has."""
        if turn.completion is None or turn.completion.stopped_by in {"user", "context"}:
            return False
        messages = replace(self.history, turns=self.history.turns[:-1]).messages(turn.question)
        with stop_on_interrupt() as interrupt:
            stream = self.pair.stream(
                messages,
                blend=settings.blend,
                sampling=settings.sampling,
                answer=settings.answer,
                answer_start=(),
                should_stop=lambda: interrupt.requested,
            )
            stream.close()
        return stream.signature == turn.completion.signature

    def compare(self, question: str) -> dict[str, Completion]:
        """Answer a question with several methods in turn; the conversation keeps none of the answers."""
        answers: dict[str, Completion] = {}
        settings = self.history.settings
        shown = {*COMPARED, settings.blend.method}
        for method in (name for name in self.methods if name in shown):
            self.err.print(Text(f"── {method}", style="heading"))
            try:
                turn, _ = self._answer(
                    question, replace(settings, blend=replace(settings.blend, method=method))
                )
            except BlendinError as error:
                self.err.print(error_line(error))
                continue
            if turn.completion is not None:
                answers[method] = turn.completion
            if self.stopped:
                break
        return answers

    def printer(self, console: Console, *, is_data: bool) -> AnswerPrinter:
        """What shows an answer as the settings want it, the first time and again."""
        settings = self.history.settings
        return AnswerPrinter(console, settings.view, markdown=not settings.terminal.plain, is_data=is_data)

    def dress(self) -> None:
        """Give the consoles the theme and the marks that are set."""
        dress_consoles(self.out, self.err, self.history.settings.terminal)

    def notice(self, text: str) -> None:
        """Print a sentence that is not part of an answer."""
        self.err.print(Text(text, style="notice"))

    def _answer(self, question: str, settings: ChatSettings, start: Sequence[Step] = ()) -> tuple[Turn, int]:
        """The turn, and how many of the oldest turns did not fit."""
        printer = self.printer(self.out, is_data=has_form(vars(settings.answer)))
        texts: list[str] = []
        with status_line(self.err) as status, stop_on_interrupt() as interrupt:
            stream, dropped = self._begin(question, settings, lambda: interrupt.requested, start)
            status.show_reading(lambda: stream.reading)
            try:
                for step, text in stream.shown():
                    status.clear()
                    texts.append(text)
                    printer.feed(step, text)
            except KeyboardInterrupt:  # the second Ctrl-C: the pair gets no time to finish
                return Turn(question, "".join(texts)), dropped
            finally:
                status.clear()
                printer.finish()
                self.stopped = interrupt.requested
            return Turn(question, stream.completion.text, stream.completion), dropped

    def _begin(
        self,
        question: str,
        settings: ChatSettings,
        should_stop: Callable[[], bool],
        start: Sequence[Step] = (),
    ) -> tuple[StreamedAnswer, int]:
        """Begin the answer without the oldest turns that do not fit into the context."""
        dropped = 0
        while True:
            try:
                stream = self.pair.stream(
                    self.history.messages(question, skip=dropped),
                    blend=settings.blend,
                    sampling=settings.sampling,
                    answer=settings.answer,
                    answer_start=start,
                    should_stop=should_stop,
                )
            except ContextFullError as error:
                if dropped == len(self.history.turns):
                    raise
                if not dropped:
                    self.notice(
                        f"The conversation has {error.n_prompt} tokens, but the context holds {error.n_ctx}."
                    )
                dropped += 1
                continue
            if dropped:
                self.notice(f"Dropped the oldest {counted(dropped, 'turn')}; the system text is kept.")
            return stream, dropped

    def _after(self, completion: Completion) -> None:
        if self.err.is_terminal:
            warn = is_excessive(completion) and not self._warned
            self._warned = self._warned or warn
            self.err.print(footer(completion, self.err.width, warn=warn), "", sep="\n")
        for notice in completion.notices:
            if notice not in self._notices_shown:
                self._notices_shown.add(notice)
                self.notice(notice)
        if completion.stopped_by == "context" and len(self.history.turns) > 1:
            del self.history.turns[0]
            self.notice(
                "The context is full, so the oldest turn was dropped. /retry answers again with more room."
            )
