"""A replayed answer on the terminal: what stayed the same, what changed, and the first step that differs.

Here: pure functions from `ReplayedAnswer` to rich renderables.
Not here: deciding again (`jobs.replay`), the answers as they were recorded (`views.stored_answers`), single
candidates (`views.answer_tables`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import zip_longest

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from blendin_local.core.percent import percent
from blendin_local.core.records import BlendSummary, Candidate, Step
from blendin_local.jobs.replay.replayed_answer import ReplayedAnswer
from blendin_local.jobs.replay.report import ReplayReport
from blendin_local.settings import BlendSettings, settings_of
from blendin_local.views.answer import STOP_TEXTS, counted
from blendin_local.views.answer_tables import candidate_cells, lists_of, source_text, styled_bytes, winner
from blendin_local.views.stored_answers import answers_view
from blendin_local.views.theme import MarkKind
from blendin_local.views.visible import escape_controls

CONTEXT_CHARS = 60  # of the answer, before the step
MAX_CANDIDATES = 10
MIN_PROB = 0.0005  # a smaller one would be shown as 0.0 %


def replay_view(one: ReplayedAnswer) -> RenderableType:
    """A single answer in detail."""
    parts: list[RenderableType] = [_headline(one), Text(_sentence(one)), Text()]
    parts.append(
        _rates_table({"recorded": one.recorded_rates, "replayed": one.replayed_rates}, "known steps")
    )
    if one.before is not None and one.after is not None:
        parts += [
            Text(),
            _text_before(one),
            _step_line("recorded", one.before),
            _step_line("replayed", one.after),
        ]
        parts += [Text(), _candidates_table(one.before, one.after)]
    elif one.outcome == "unknown" and one.step < len(one.stored.decisions):
        parts += [Text(), _text_before(one), _step_line("recorded", one.stored.decisions[one.step])]
    return Group(*parts)


def replays_view(report: ReplayReport) -> RenderableType:
    """A line for each answer, and all answers together."""
    table = _table()
    for name in ("answer", "outcome"):
        table.add_column(name, overflow="ellipsis", no_wrap=True)
    for name in ("known", "of", "asked before", "asked now"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in report.answers:
        table.add_row(
            Text(escape_controls(one.stored.name)),
            _outcome(one),
            str(one.known),
            str(len(one.stored.steps)),
            percent(one.recorded_rates.intervention_rate),
            percent(one.replayed_rates.intervention_rate),
        )
    rates = _rates_table(
        {"recorded": report.recorded_rates, "replayed": report.replayed_rates}, "known steps"
    )
    return Group(_headline(report.answers[0]), table, Text(), _outcomes(report), rates)


def recorded_view(report: ReplayReport, marks: MarkKind = "styles", width: int = 80) -> RenderableType:
    """The answers themselves, where no setting is another than it was, and what deciding them again gave."""
    answers = answers_view([one.stored for one in report.answers], marks, width)
    if len(report.answers) == 1:
        return Group(answers, replay_view(report.answers[0]))
    sentences = [
        Text(f"{one.stored.name}: {_sentence(one)}") for one in report.answers if one.outcome != "same"
    ]
    return Group(answers, _headline(report.answers[0]), *sentences, _outcomes(report))


def changed_settings(one: ReplayedAnswer) -> Mapping[str, tuple[str, str]]:
    """The settings that differ, as users write them: name to (recorded, replayed)."""
    then, now = asdict(one.stored.blend), asdict(one.blend)
    known = {each.field: each for each in settings_of(BlendSettings)}
    return {
        known[name].name: (known[name].word_of(then[name]), known[name].word_of(now[name]))
        for name in now
        if then[name] != now[name]
    }


def _headline(one: ReplayedAnswer) -> Text:
    changes = [f"{name.replace('-', ' ')} {a} → {b}" for name, (a, b) in changed_settings(one).items()]
    return Text(
        "replayed with " + (", ".join(changes) or "the settings it was recorded with"), style="heading"
    )


def _sentence(one: ReplayedAnswer) -> str:
    if one.outcome == "same":
        same_end = one.stopped_by == one.stored.stopped_by
        end = (
            f", {'and' if same_end else 'but now'} it is {STOP_TEXTS[one.stopped_by].clause}"
            if one.stopped_by
            else ""
        )
        return f"All {counted(one.known, 'step')} are the same{end}."
    if one.outcome == "differs":
        return f"Step {one.step} is the first that differs; the texts diverge there. {_unusable(one)}"
    if not one.unknown:
        return f"All {counted(one.known, 'step')} are the same; {one.reason}."
    return f"Known up to step {one.step}: {one.reason}. {_unusable(one)}"


def _unusable(one: ReplayedAnswer) -> str:
    """How much of the recording is unknown under the new settings."""
    if not one.unknown:
        return "It is the last recorded step."
    steps = counted(one.unknown, "recorded step")
    where = "after it" if one.outcome == "differs" else "from there on"
    return f"What the new settings would choose at the {steps} {where} is unknown."


def _outcomes(report: ReplayReport) -> Text:
    outcomes = report.outcomes
    return Text(
        f"{counted(len(report.answers), 'answer')}: {outcomes['same']} the same,"
        f" {outcomes['differs']} differ, {outcomes['unknown']} unknown"
    )


def _outcome(one: ReplayedAnswer) -> Text:
    if one.outcome == "same":
        return Text("the same")
    outcome, style = ("differs", "winner") if one.outcome == "differs" else ("unknown", "faint")
    return Text(f"{outcome} at step {one.step}", style=style)


def _rates_table(rows: Mapping[str, BlendSummary], over: str) -> Table:
    table = _table()
    table.add_column("", style="heading", no_wrap=True)
    for name in (over, "asked", "changed"):
        table.add_column(name, justify="right", no_wrap=True)
    silent = any(blend.guide_silent for blend in rows.values())
    if silent:
        table.add_column("guide silent", justify="right", no_wrap=True)
    for name, blend in rows.items():
        asked, changed = percent(blend.intervention_rate), percent(blend.changed_rate)
        more = [str(blend.guide_silent)] if silent else []
        table.add_row(name, str(blend.steps), asked, changed, *more)
    return table


def _text_before(one: ReplayedAnswer) -> Text:
    text = b"".join(step.bytes for step in one.stored.steps[: one.step]).decode()
    tail = text[-CONTEXT_CHARS:]
    shown = Text("after ", style="hint").append("…" if tail != text else "").append(escape_controls(tail))
    return Text("at the beginning of the answer", style="hint") if not text else shown


def _step_line(when: str, step: Step) -> Text:
    line = Text.assemble((f"{when}: ", "heading"), styled_bytes(step.bytes), (f" {step.source}", "heading"))
    line.append(f": {source_text(step)}")
    if step.alpha is not None:
        line.append(f"; alpha {step.alpha:.2f}")
    elif step.base_top is not None:
        line.append(f"; its top-1 probability {step.base_top.p:.2f}")
    line.no_wrap, line.overflow = False, "fold"
    return line


def _candidates_table(before: Step, after: Step) -> Table:
    """The candidates of both models, and of the blend before and after, each winner marked."""
    table = _table()
    columns = list(_columns(before, after))
    for name, style, _, _ in columns:
        table.add_column(Text(name, style=style), overflow="ellipsis", min_width=5)
        table.add_column("", justify="right", no_wrap=True)
    visible = [[c for c in listed if c.p >= MIN_PROB] for _, _, listed, _ in columns]
    for row in list(zip_longest(*visible))[:MAX_CANDIDATES]:
        cells = zip(row, (won for _, _, _, won in columns), strict=True)
        table.add_row(*(cell for each, won in cells for cell in candidate_cells(each, won)))
    return table


def _columns(before: Step, after: Step) -> Iterator[tuple[str, str, tuple[Candidate, ...], bytes | None]]:
    """Heading, style, candidates and winner of each column that has any."""
    then, now = lists_of(before), lists_of(after)
    for name in ("base", "guide"):
        listed = getattr(then, name) or getattr(now, name)
        if listed:
            yield name, f"role.{name}", listed, None
    for name, step, blended in (("recorded", before, then.blend), ("replayed", after, now.blend)):
        top = step.base_top or step.guide_top
        listed = blended or ((top,) if top else ())
        if listed:
            yield name, "role.blend", listed, winner(step, listed)


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
