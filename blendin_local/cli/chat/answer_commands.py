"""Commands that make, repeat or remove answers.

Here: `/retry`, `/fork`, `/continue`, `/back`, `/undo`, `/clear`, `/ab`.
Not here: the table of commands (`cli.chat.commands`), looking at an answer (`cli.chat.step_commands`), how an
answer is begun with given steps (`core.answer_start`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.state import ChatSettings
from blendin_local.cli.chat.step_commands import (
    last,
    last_completion,
    print_answer,
)
from blendin_local.cli.common.named_steps import candidate_named, decisions, step_named
from blendin_local.core.answer_start import fork as fork_of
from blendin_local.core.answer_start import start_steps
from blendin_local.core.records import Completion, Step
from blendin_local.errors import UsageError
from blendin_local.history.records import Turn
from blendin_local.settings import SamplingSettings, settings_on
from blendin_local.views.answer import STOP_TEXTS, counted
from blendin_local.views.answer_tables import comparison_table, why_table
from blendin_local.views.visible import escape_controls

TEMPERATURE = settings_on("chat", SamplingSettings)["temp"]
TRIED_TEMPERATURE = "0.7"  # what is offered where an answer would be the same


def retry(chat: Chat, text: str) -> None:
    """Answer the last question again, once at another temperature if one is given."""
    turn, settings = last(chat), chat.history.settings
    if text:
        sampling = replace(settings.sampling, temperature=TEMPERATURE.parse(text), seed=None)
        settings = replace(settings, sampling=sampling)
    if chat.would_repeat(turn, settings):
        temperature, seed = settings.sampling.temperature, settings.sampling.seed
        reason = f"With seed {seed}" if temperature else "At temperature 0"
        chat.notice(
            f"{reason} the answer would be the same."
            f" /retry {TRIED_TEMPERATURE} answers with another seed at that temperature."
        )
        return
    _answer_again(chat, settings=settings)


def fork(chat: Chat, text: str) -> None:
    """Continue the last answer from a step with another candidate."""
    where, _, wanted = text.partition(" ")
    steps = decisions(last_completion(chat))
    if not where:
        raise UsageError("/fork needs a step", "/fork N CANDIDATE; /why WORD finds the step of a word")
    step = step_named(steps, where)
    if not wanted.strip():
        chat.err.print(why_table(step))
        chat.notice(f"/fork {step.i} NUMBER or TEXT goes on with that candidate.")
        return
    start = fork_of(last_completion(chat), step.i, candidate_named(step, wanted.strip()))
    if _answer_again(chat, start=start):
        chat.notice("/back returns to the answer from before.")


def continue_answer(chat: Chat, _: str) -> None:
    """Go on with the last answer where it was cut."""
    turn = last(chat)
    completion = turn.completion
    if completion is not None and completion.end is not None:
        clause = STOP_TEXTS[completion.stopped_by].clause
        raise UsageError(
            f"the last answer was {clause}, and would end there again",
            f"/fork {completion.end.i} TEXT goes on with a text in place of the end",
        )
    start = start_steps(turn.answer) if completion is None else text_steps(completion)
    settings = chat.history.settings
    limit = settings.answer.max_tokens
    more = replace(settings.answer, max_tokens=None if limit is None else len(start) + limit)
    _answer_again(chat, start=start, settings=replace(settings, answer=more))


def text_steps(completion: Completion) -> tuple[Step, ...]:
    """The steps of an answer's text, which a stop string may have cut."""
    left, shown = len(completion.text.encode()), []
    for step in completion.steps:
        if left > 0:
            shown.append(replace(step, bytes=step.bytes[:left]))
        left -= len(step.bytes)
    return tuple(shown)


def _answer_again(
    chat: Chat, *, start: Sequence[Step] = (), settings: ChatSettings | None = None
) -> Turn | None:
    """Replace the last answer, which `/back` brings back; it stays if there is no new one."""
    history, turn = chat.history, last(chat)
    turns, replaced = list(history.turns), [*history.replaced, turn]
    history.turns.pop()
    kept = None
    try:
        kept = chat.ask(turn.question, start=start, settings=settings)
    finally:
        if kept is None:
            history.turns[:] = turns
        else:
            history.replaced[:] = replaced
    return kept


def back(chat: Chat, _: str) -> None:
    """Return to an earlier answer to the last question; the one of now comes up again at the end."""
    history, turn = chat.history, last(chat)
    if not history.replaced:
        raise UsageError("the last question has one answer", "/retry and /fork make others")
    history.turns[-1] = history.replaced.pop()
    history.replaced.insert(0, turn)
    print_answer(chat, history.turns[-1])
    others = counted(len(history.replaced), "other answer")
    chat.notice(f"The conversation goes on from this answer. {others} kept; /back shows the next one.")


def undo(chat: Chat, _: str) -> None:
    """Remove the last question and its answer."""
    turn = last(chat)
    chat.history.turns.pop()
    chat.history.replaced.clear()
    question = escape_controls(turn.question).replace("\n", " ")
    chat.notice(f"Removed: {question if len(question) <= 60 else question[:59] + '…'}")


def clear(chat: Chat, _: str) -> None:
    """Remove every turn."""
    chat.notice(f"Forgot {counted(len(chat.history.turns), 'turn')}; the system text is kept.")
    chat.history.turns.clear()
    chat.history.replaced.clear()


def ab(chat: Chat, _: str) -> None:
    """Answer the last question with several methods, and compare them."""
    turn = last(chat)
    chat.history.turns.pop()
    try:
        answers = chat.compare(turn.question)
    finally:
        chat.history.turns.append(turn)
    if answers:
        chat.err.print(comparison_table(answers))
