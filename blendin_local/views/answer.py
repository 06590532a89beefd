"""The answer as it grows, and the lines below it.

Here: `styled_step`, the append-only `AnswerPrinter`, `footer` and its warning.
Not here: tables (`views.answer_tables`), colours (`views.theme`), the HTML page (`reports.answer_html`).
Pure functions from records to rich texts; the printer is the one object that writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from rich.console import Console
from rich.segment import Segments
from rich.text import Text

from blendin_local.core.methods import UNGATED
from blendin_local.core.records import Completion, Step, StoppedBy
from blendin_local.errors import BlendinError
from blendin_local.settings import EXCESSIVE_INTERVENTION_RATE
from blendin_local.views.streams import write_utf8
from blendin_local.views.visible import escape_controls, message_line

View = Literal["source", "prob", "plain"]

ENDED: Mapping[StoppedBy, str] = {
    "base_end": "ended by the base",
    "guide_end": "ended by the guide",
    "stop_string": "ended at a stop string",
    "max_tokens": "cut at --max-tokens",
    "context": "cut: the context is full",
    "repetition": "ended: it repeated itself",
    "user": "stopped by you",
}


def certainty(step: Step) -> float | None:
    """Top-1 probability of the base, or of the guide where it speaks alone; None where neither is known."""
    leading = step.base_top or step.guide_top
    return None if leading is None else leading.p


def style_of(step: Step, view: View = "source") -> str:
    """Name of the theme style in which a step is shown."""
    if view == "source":
        return f"source.{step.source}"
    p = certainty(step)
    if view == "plain" or p is None:
        return "none"
    bands = ((0.8, "sure.yes"), (0.4, "sure.rather"), (0.1, "sure.hardly"), (0.0, "sure.not"))
    return next((style for least, style in bands if p >= least), "sure.not")


def styled_step(step: Step, text: str, view: View = "source") -> Text:
    """The part of the answer that a step added, marked by where it came from.

    Line breaks, and white space at the ends of a word, are left unmarked: a rule through them says nothing.
    A step of blanks alone is marked whole.
    """
    safe = escape_controls(text)
    shown = Text(safe, end="")
    if safe.strip():
        shown.stylize(style_of(step, view), len(safe) - len(safe.lstrip()), len(safe.rstrip()))
    elif "\n" not in safe:
        shown.stylize(style_of(step, view))
    return shown


class AnswerPrinter:
    """Writes an answer part by part, never going back over what is written.

    On a terminal parts are marked and control characters made visible. Elsewhere the answer's own UTF-8 bytes
    are written and nothing else.

    Args:
        console: Where the answer goes.
        view: What the marks tell.
    """

    def __init__(self, console: Console, view: View = "source") -> None:
        self._console = console
        self._view: View = view
        self._at_line_start = True

    def feed(self, step: Step, text: str) -> None:
        """Write what `step` added and flush it."""
        if not text:
            return
        self._at_line_start = text.endswith("\n")
        if not self._console.is_terminal:
            write_bytes(self._console, text)
            return
        segments = styled_step(step, text, self._view).render(self._console)
        self._console.print(Segments(segments), end="", soft_wrap=True)

    def finish(self) -> None:
        """End the last line, if it is not ended."""
        if self._at_line_start:
            return
        self._at_line_start = True
        if self._console.is_terminal:
            self._console.print()
        else:
            write_bytes(self._console, "\n")


def write_bytes(console: Console, text: str) -> None:
    """Write text to a pipe or file as UTF-8, whatever the locale, and flush it."""
    write_utf8(console.file, text)


def percent(share: float, digits: int = 1) -> str:
    """A share as per cent, such as `22.5 %`; `<0.1 %` for what would round to nothing."""
    least = 10.0**-digits
    if 0 < share * 100 < least / 2:
        return f"<{least:.{digits}f} %"
    return f"{share * 100:.{digits}f} %"


def counted(number: int, word: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def speed(completion: Completion) -> float | None:
    """Steps per second of generation, None where no time was measured."""
    milliseconds = completion.timings.generation_ms
    return 1000 * len(completion.steps) / milliseconds if milliseconds > 0 and completion.steps else None


def ended(completion: Completion) -> str:
    """Why the answer ended, in words."""
    return ENDED[completion.stopped_by]


def footer_items(completion: Completion) -> list[str]:
    """The facts of the line below an answer."""
    blend, rate = completion.blend, speed(completion)
    return [
        *([] if rate is None else [f"{rate:.1f} tok/s"]),
        counted(blend.steps, "step"),
        f"{percent(blend.intervention_rate)} asked",
        f"{percent(blend.changed_rate)} changed",
        counted(completion.usage.guide_tokens_evaluated, "guide token"),
        ended(completion),
    ]


def footer(completion: Completion, width: int = 0) -> Text:
    """The line below an answer, with the paper's warning where the guide was asked too often.

    Args:
        completion: The answer.
        width: Columns to wrap at, between facts only; 0 leaves the wrapping to the terminal.
    """
    shown = Text(_flow(footer_items(completion), width), style="footer")
    warning = excess_warning(completion)
    return Text("\n").join([shown, Text(warning, style="warning")]) if warning else shown


def excess_warning(completion: Completion) -> str:
    """What more than 20 % of asked steps means (paper, section 3.2); empty where there were fewer.

    It speaks of methods with a gate: one without it asks at every step, and no threshold changes that.
    """
    gated = completion.signature.get("blend", {}).get("method") not in UNGATED
    if not gated or completion.blend.intervention_rate <= EXCESSIVE_INTERVENTION_RATE:
        return ""
    limit = f"{EXCESSIVE_INTERVENTION_RATE * 100:.0f} %"
    return (
        f"Warning: over {limit} of the steps asked the guide; such answers tend to be worse."
        " Compare methods base and guide; try a lower threshold or a fixed alpha (0.3 to 0.7)."
    )


def error_line(error: BlendinError) -> Text:
    """What is wrong and what to do, on one line."""
    line = Text.assemble(("error: ", "error"), message_line(error.message))
    return line.append(f" ({message_line(error.hint)})", style="hint") if error.hint else line


def _flow(items: list[str], width: int) -> str:
    """Items joined by dots, broken between items so that no line is longer than `width`."""
    lines: list[str] = []
    for item in items:
        longer = f"{lines[-1]} · {item}" if lines else item
        if lines and (not width or len(longer) <= width):
            lines[-1] = longer
        else:
            lines.append(item)
    return "\n".join(lines)
