"""Tables about answers: the candidates of one step, all steps, several methods, a conversation.

Here: pure functions from records to rich tables that are readable at 40 columns.
Not here: the answer itself and its footer (`views.answer`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from blendin_local.core.percent import percent
from blendin_local.core.records import (
    BlendSummary,
    Candidate,
    CandidateLists,
    Completion,
    Source,
    Step,
    summarize,
)
from blendin_local.core.text import REPLACEMENT, is_whole, whole_characters
from blendin_local.views.answer import STOP_TEXTS, steps_per_second
from blendin_local.views.form import legal_text
from blendin_local.views.guides import guides_text
from blendin_local.views.visible import visible

SOURCE_TEXTS: Mapping[Source, str] = {
    "base": "the base was sure, so the guide was not asked",
    "kept": "the guide was asked, and the base's first choice was kept",
    "changed": "the guide was asked and changed the outcome",
    "guide": "the guide answers alone",
    "chosen": "you chose this candidate",
    "given": "the answer was begun with this text",
    "forced": "the form allowed nothing else, so no model was asked",
}
UNASKED: tuple[Source, ...] = ("given", "forced")
"""Sources of text for which no model was asked."""
_WHITE_SPACE_MARKS = "·⏎⇥␍"
ROOMY_COLUMNS = 60


def _plain_table(gap: int = 1) -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap - 1, 0, 0), show_edge=False)


@dataclass(frozen=True)
class _FittedPercents:
    """A renderable whose percents have a digit after the point where the terminal has room for it.

    Attributes:
        build: The renderable with this many digits.
    """

    build: Callable[[int], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.build(1 if options.max_width >= ROOMY_COLUMNS else 0)


def styled_bytes(data: bytes) -> Text:
    """A candidate's bytes made visible, with marks for white space dimmed; END has a style of its own."""
    if not data:
        return Text(visible(data), style="end")
    shown = Text(visible(data), no_wrap=True, overflow="ellipsis")
    shown.highlight_regex(rf"[{_WHITE_SPACE_MARKS}]|<[0-9A-F ]+>|<U\+[0-9A-F]+>", "invisible")
    return shown


def winner(step: Step, candidates: Iterable[Candidate]) -> bytes | None:
    """The bytes of the candidate that became `step`, or None if it is not among them.

    A candidate that ends inside a character was completed before the step ended: it is the beginning of the
    step's bytes. One that can never become a character is U+FFFD in the step; the first such is meant.
    """
    proposed = dict.fromkeys(candidate.bytes for candidate in candidates)
    if step.bytes in proposed:
        return step.bytes
    if REPLACEMENT in step.bytes:
        replaced = (data for data in proposed if whole_characters(data) == step.bytes)
        if (first := next(replaced, None)) is not None:
            return first
    begun = [data for data in proposed if data and step.bytes.startswith(data) and not is_whole(data)]
    return max(begun, key=len, default=None)


def source_text(step: Step) -> str:
    """Where a step came from, in words."""
    source = SOURCE_TEXTS[step.source]
    if step.guides:
        source = source.replace("the guide was", "the guides were")
    parts = [source, *(f"the {role} made no suggestion" for role in step.silent)]
    if several := guides_text(step):
        parts.append(several)
    if step.instead_of is not None:
        parts.append(f"a penalty on repetition put it in place of {visible(step.instead_of.bytes)}")
    return "; ".join(parts)


def lists_of(step: Step) -> CandidateLists:
    """The step's candidates; if they were not kept, each model's first choice."""
    if step.candidates is not None:
        return step.candidates
    base, guide = (None if top is None else (top,) for top in (step.base_top, step.guide_top))
    return CandidateLists(base, guide, None)


def why_headline(step: Step) -> Text:
    """`step 17 ·Sure changed: the guide was asked and changed the outcome; alpha 0.81`."""
    line = Text.assemble(
        (f"step {step.i} ", "heading"), _styled_text(step), " ", (step.source, winner_style(step))
    )
    line.append(f": {source_text(step)}")
    if step.alpha is not None:
        line.append(f"; alpha {step.alpha:.2f}")
    line.no_wrap, line.overflow = False, "fold"
    return line


def why_table(step: Step, limit: int = 10) -> RenderableType:
    """Base, guide and blend candidates of one step side by side, the winner marked.

    Below them stands what a part of a character is, if one is among them, and what a form left of them.

    Args:
        step: The step; if its candidates were not kept, the first choices are shown.
        limit: Maximum number of rows.
    """
    lists = lists_of(step)
    columns = {"base": lists.base, "guide": lists.guide, "blend": lists.blend}
    filled = {name: column[:limit] for name, column in columns.items() if column}
    if step.source in UNASKED:
        return why_headline(step)
    if not filled:
        return Group(why_headline(step), Text("No candidates were kept for this step.", style="hint"))
    won = winner(step, (candidate for column in columns.values() for candidate in column or ()))
    table = _FittedPercents(lambda digits: _candidates_table(step, filled, won, digits))
    parts = parts_of_characters(step, (each.bytes for column in filled.values() for each in column), won)
    below = (Text(text, style="hint") for text in (legal_text(step), parts) if text)
    return Group(why_headline(step), table, *below)


def _candidates_table(
    step: Step, columns: Mapping[str, Sequence[Candidate]], won: bytes | None, digits: int
) -> Table:
    table = _plain_table(gap=2)
    table.add_column("", justify="right", style="faint", no_wrap=True)  # the number that `/fork` takes
    for name in columns:
        table.add_column(Text(name, style=f"role.{name}"), overflow="ellipsis", min_width=4)
        table.add_column("", justify="right", no_wrap=True)
    for number, row in enumerate(zip_longest(*columns.values()), 1):
        cells = (candidate_cells(each, won, winner_style(step), digits) for each in row)
        table.add_row(str(number), *(cell for pair in cells for cell in pair))
    return table


def parts_of_characters(step: Step, shown: Iterable[bytes], won: bytes | None) -> str:
    """What `<E8>` among the candidates means, in a sentence; empty if all are whole."""
    parts = dict.fromkeys(data for data in shown if data and not is_whole(data))
    if not parts:
        return ""
    names = [visible(data) for data in parts]
    listed = f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
    verb = "is the beginning" if len(names) == 1 else "are beginnings"
    text = f"{listed} {verb} of a character that a model writes in several tokens"
    if won in parts:
        return f"{text}. Here the same model wrote the rest of {visible(step.bytes)}."
    return f"{text}; if one is chosen, the same model writes the rest."


def winner_style(step: Step) -> str:
    """The style in which the winner is marked: that of its source, and bold where that is plain."""
    return f"source.{step.source}" if step.asked else "winner"


def numbered_candidates(step: Step) -> tuple[Candidate, ...]:
    """The candidates by which a step can be forked, number 1 first: the last column of `why_table`."""
    lists = lists_of(step)
    return lists.blend or lists.guide or lists.base or ()


def candidate_cells(
    candidate: Candidate | None, won: bytes | None, style: str = "winner", digits: int = 1
) -> tuple[Text, Text]:
    """A candidate and its probability; empty cells for None.

    Args:
        candidate: The candidate.
        won: The bytes of the winner, which gets a mark.
        style: The winner's style.
        digits: Digits of a per cent.
    """
    if candidate is None:
        return Text(), Text()
    name, p = styled_bytes(candidate.bytes), Text(percent(candidate.p, digits))
    if candidate.bytes == won:
        name.stylize(style)
        name = Text.assemble("▸", name, no_wrap=True, overflow="ellipsis")
        p.stylize("winner")
    return name, p


def tokens_table(steps: Sequence[Step]) -> Table:
    """Every step of an answer: its text, its source, and each model's first choice.

    Where the base decided alone, its first choice is the step's text, and only its probability is shown. If
    the answer has a form, also how much the base gave to what was legal, or the guide where it answers alone.
    """
    has_form = any(step.source == "forced" or _legal_mass(step) is not None for step in steps)
    table = _plain_table()
    table.add_column("#", justify="right", style="faint", no_wrap=True)
    table.add_column("text", overflow="ellipsis", min_width=6)
    table.add_column("source", no_wrap=True)
    table.add_column(Text("base", style="role.base"), overflow="ellipsis", min_width=8)
    table.add_column(Text("guide", style="role.guide"), overflow="ellipsis", min_width=8)
    if has_form:
        table.add_column("legal", justify="right", no_wrap=True)
    for step in steps:
        mass = _legal_mass(step)
        table.add_row(
            str(step.i),
            _styled_text(step),
            Text(step.source, style=f"source.{step.source}"),
            _top(step.base_top, step),
            _top(step.guide_top, step),
            *([Text("" if mass is None else percent(mass, 0), style="faint")] if has_form else []),
        )
    return table


def _legal_mass(step: Step) -> float | None:
    return step.legal_guide if step.legal_base is None else step.legal_base


def _styled_text(step: Step) -> Text:
    text = styled_bytes(step.bytes)
    text.stylize(f"source.{step.source}")
    return text


def _top(candidate: Candidate | None, step: Step) -> Text:
    if candidate is None:
        return Text()
    share = percent(candidate.p, 0).rjust(5)
    top = Text(f"{share} ", style="faint", no_wrap=True, overflow="ellipsis")
    named = step.asked or step.instead_of is not None
    return top.append_text(styled_bytes(candidate.bytes)) if named else top


def comparison_table(answers: Mapping[str, Completion]) -> RenderableType:
    """Methods side by side: length, how often the guide was asked, speed, and why each stopped.

    Where a form wrote steps, their number too, if the terminal has room for it.
    """
    has_form = any(answer.blend.forced for answer in answers.values())
    return _FittedPercents(
        lambda digits: _answers_table("method", answers.items(), digits, has_form=has_form and digits > 0)
    )


def stats_table(completions: Sequence[Completion]) -> RenderableType:
    """The answers of a conversation, numbered, and all of them together."""
    return _FittedPercents(lambda digits: _stats_table(completions, digits))


def _stats_table(completions: Sequence[Completion], digits: int) -> Table:
    numbered = ((str(i), answer) for i, answer in enumerate(completions, 1))
    has_form = digits > 0 and any(answer.blend.forced for answer in completions)
    table = _answers_table("answer", numbered, digits, has_form=has_form)
    if len(completions) < 2:
        return table
    summary = summarize([step for answer in completions for step in answer.steps])
    milliseconds = sum(answer.timings.generation_ms for answer in completions)
    rate = 1000 * summary.steps / milliseconds if milliseconds else None
    table.add_section()
    table.add_row(*_answer_cells("all", summary, rate, "", digits, has_form=has_form))
    return table


def _answers_table(
    name: str, answers: Iterable[tuple[str, Completion]], digits: int, *, has_form: bool
) -> Table:
    table = _plain_table()
    table.add_column(name, style="heading", no_wrap=True)
    for heading in ("steps", *(["form"] if has_form else []), "asked", "changed", "tok/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("end", no_wrap=True)
    for label, answer in answers:
        rate, end = steps_per_second(answer), STOP_TEXTS[answer.stopped_by].short
        table.add_row(*_answer_cells(label, answer.blend, rate, end, digits, has_form=has_form))
    return table


def _answer_cells(
    label: str, blend: BlendSummary, rate: float | None, end: str, digits: int, *, has_form: bool
) -> tuple[str, ...]:
    """The cells of one row; with a form, the steps that it wrote stand beside the others."""
    steps = (str(blend.steps), *([str(blend.forced)] if has_form else []))
    asked, changed = percent(blend.intervention_rate, digits), percent(blend.changed_rate, digits)
    return label, *steps, asked, changed, "" if rate is None else f"{rate:.1f}", end
