"""A streamed answer and the lines below it.

Here: `styled_step`, `shown_decisions`, `footer` with its warning, and `STOP_TEXTS`: pure functions from
records to rich texts.
Not here: writing an answer while it grows (`views.answer_printer`), tables (`views.answer_tables`), what a
form did (`views.form`), colours (`views.theme`), the HTML page (`reports.answer_html`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from blendin_local.core.percent import percent
from blendin_local.core.records import Completion, Step, StoppedBy
from blendin_local.core.shown_steps import Stepwise, shown_steps
from blendin_local.errors import BlendinError
from blendin_local.settings import EXCESSIVE_INTERVENTION_RATE
from blendin_local.views.form import form_items, incomplete_warning
from blendin_local.views.guides import changed_by
from blendin_local.views.theme import MarkKind
from blendin_local.views.visible import escape_controls, message_line

View = Literal["source", "prob", "plain"]


@dataclass(frozen=True)
class StopText:
    """A reason to stop, in words.

    Attributes:
        clause: What follows "the answer is"; also used alone in a footer.
        noun: A label in a list of counts.
        short: At most six characters, for a column of a table.
    """

    clause: str
    noun: str
    short: str


STOP_TEXTS: Mapping[StoppedBy, StopText] = {
    "base_end": StopText("ended by the base", "the base's end", "base"),
    "guide_end": StopText("ended by the guide", "the guide's end", "guide"),
    "stop_string": StopText("ended at a stop string", "a stop string", "stop"),
    "complete": StopText("complete", "the end of its form", "form"),
    "max_tokens": StopText("cut at --max-tokens", "the length limit", "length"),
    "context": StopText("cut: the context is full", "a full context", "full"),
    "repetition": StopText("ended because it repeated itself", "repetition", "loop"),
    "user": StopText("stopped by you", "you", "you"),
}


PROB_BANDS: Mapping[str, float] = {
    "prob.high": 0.8,
    "prob.medium": 0.4,
    "prob.low": 0.1,
    "prob.lowest": 0.0,
}
"""The smallest top-1 probability of each style of the view `prob`."""


def top1_prob(step: Step) -> float | None:
    """Top-1 probability of the base, or of the guide where it answers alone; None if neither is known."""
    leading = step.base_top or step.guide_top
    return None if leading is None else leading.p


def style_of(step: Step, view: View = "source") -> str:
    """Name of the theme style in which a step is shown."""
    if view == "source" or (view == "prob" and step.source == "forced"):  # which no model gave a probability
        return f"source.{step.source}"
    p = top1_prob(step)
    if view == "plain" or p is None:
        return "none"
    return next(style for style, min_p in PROB_BANDS.items() if p >= min_p)


def styled_step(step: Step, text: str, view: View = "source", marks: MarkKind = "styles") -> Text:
    """The part of the answer that a step added, marked by where it came from.

    Line breaks and the white space around a word are not marked: an underline there has no meaning. A step of
    spaces or tabs alone is marked.

    Args:
        step: The step.
        text: What it added.
        view: What the marks show.
        marks: Whether they are styles, characters around the word, or none.
    """
    safe = escape_controls(text)
    start, end = len(safe) - len(safe.lstrip()), len(safe.rstrip())
    if start > end:  # white space alone
        start, end = (len(safe), len(safe)) if "\n" in safe else (0, len(safe))
    style = "none" if marks == "none" or start == end else style_of(step, view)
    if marks == "ascii":
        opening, closing = ASCII_MARKS.get(style, ("", ""))
        return Text(f"{safe[:start]}{opening}{safe[start:end]}{closing}{safe[end:]}", end="")
    shown = Text(safe, end="")
    shown.stylize(style, start, end)
    return shown


def shown_decisions(answer: Stepwise) -> Iterator[tuple[Step, str]]:
    """Each step with the part of its text that is in the answer, then END if it won."""
    yield from shown_steps(answer)
    if answer.end is not None:
        yield answer.end, ""


ASCII_MARKS: Mapping[str, tuple[str, str]] = {
    "source.kept": ("_", "_"),
    "source.changed": ("[", "]"),
    "source.chosen": ("<", ">"),
    "source.forced": ("(", ")"),
    "prob.medium": ("_", "_"),
    "prob.low": ("[", "]"),
    "prob.lowest": ("[[", "]]"),
}
"""What stands before and after a marked word where no style can be shown."""


def counted(number: int, word: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def steps_per_second(completion: Completion) -> float | None:
    """Steps per second of generation, without those that a form wrote; None if no time was measured."""
    n_made = sum(step.source != "forced" for step in completion.steps[completion.n_start :])
    milliseconds = completion.timings.generation_ms
    return 1000 * n_made / milliseconds if milliseconds > 0 and n_made > 0 else None


def footer_items(completion: Completion) -> list[str]:
    """The facts of the line below an answer."""
    blend, rate = completion.blend, steps_per_second(completion)
    return [
        *([] if rate is None else [f"{rate:.1f} tok/s"]),
        counted(blend.steps, "step"),
        f"{percent(blend.intervention_rate)} asked{' (!)' if is_excessive(completion) else ''}",
        f"{percent(blend.changed_rate)} changed{changed_by(completion)}",
        counted(completion.usage.all_guide_tokens_evaluated, "guide token"),
        *_drafts(completion),
        *_search(completion),
        *_gate(completion),
        STOP_TEXTS[completion.stopped_by].clause,
    ]


def _drafts(completion: Completion) -> list[str]:
    """How many drafted tokens came true, if any were drafted."""
    drafted, accepted = completion.timings.drafted, completion.timings.accepted
    return [f"{sum(accepted.values())} of {sum(drafted.values())} drafted tokens right"] if drafted else []


def _search(completion: Completion) -> list[str]:
    """How many sequences the answer was chosen from, and its score, where a search found it."""
    found = completion.search
    if found is None or found.best is None:
        return []
    return [f"search {found.size}: score {found.best.score:+.1f}, {found.best.score_per_byte:+.3f} per byte"]


def _gate(completion: Completion) -> list[str]:
    """What the gate of method `steer` said of the prompt, if it was asked."""
    reading = completion.signature.get("steering")
    if not isinstance(reading, dict):
        return []
    value = reading.get("value", 0.0)
    shown = f"{value:+.1f}" if abs(value) >= 1 else f"{value:+.2g}"
    return [f"gate {'open' if reading.get('open') else 'closed'} ({shown})"]


def footer(completion: Completion, width: int = 0, *, warn: bool = True) -> Text:
    """The lines below an answer: the facts, what a form did, and what to be warned of.

    Args:
        completion: The answer.
        width: Columns to wrap at, between items only; 0 leaves wrapping to the terminal.
        warn: Whether to write the paper's warning in full; the sign (!) behind the rate is always there.
    """
    facts = (_flow(items, width) for items in (footer_items(completion), form_items(completion)) if items)
    warnings = (incomplete_warning(completion), excess_warning(completion) if warn else "")
    lines = [Text(fact, style="footer") for fact in facts]
    lines += [Text(warning, style="warning") for warning in warnings if warning]
    return Text("\n").join(lines)


def is_excessive(completion: Completion) -> bool:
    """Whether the guide was asked too often (paper, section 3.2).

    It concerns methods with a gate. One without a gate asks at every step, and one that asks wherever the
    guide can matter asks often; no threshold changes that.
    """
    from blendin_local.core.methods import (  # noqa: PLC0415 - it imports numpy, and the answer has ended
        ASKING_IF_IT_MATTERS,
        UNGATED,
    )

    method = completion.signature.get("blend", {}).get("method")
    gated = method not in (*UNGATED, *ASKING_IF_IT_MATTERS)
    return gated and completion.blend.intervention_rate > EXCESSIVE_INTERVENTION_RATE


def excess_warning(completion: Completion) -> str:
    """What more than 20 % of asked steps may mean; empty if there were fewer."""
    if not is_excessive(completion):
        return ""
    limit = percent(EXCESSIVE_INTERVENTION_RATE, 0)
    return (
        f"Warning (!): the guide was asked at over {limit} of the steps. The paper found that guidance seldom"
        " helps then; blendin check tries whether it does with this pair. A lower threshold asks less often."
    )


def error_line(error: BlendinError) -> Text:
    """What is wrong and what to do about it, on one line."""
    line = Text.assemble(("error: ", "error"), message_line(error.message))
    return line.append(f" ({message_line(error.hint)})", style="hint") if error.hint else line


def _flow(items: list[str], width: int) -> str:
    """Items joined by dots, wrapped between items at `width` columns."""
    lines: list[str] = []
    for item in items:
        longer = f"{lines[-1]} · {item}" if lines else item
        if lines and (not width or len(longer) <= width):
            lines[-1] = longer
        else:
            lines.append(item)
    return "\n".join(lines)
