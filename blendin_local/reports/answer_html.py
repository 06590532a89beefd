"""Answers as HTML: a page of one answer, a page of stored ones, and a fragment for a notebook.

Here: `render_html` (`blendin run --html FILE`, `Completion.to_html`), `render_stored` (`blendin replay --html
FILE`) and `render_fragment` (`Completion._repr_html_`).
Not here: the templates (`assets/answer.html`, `assets/answer_fragment.html`), the terminal's views
(`views.answer`, `views.answer_tables`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blendin_local.core.percent import percent
from blendin_local.core.prompts import Message
from blendin_local.core.records import Candidate, Completion, Step
from blendin_local.core.shown_steps import Stepwise
from blendin_local.jobs.replay.stored_answer import StoredAnswer
from blendin_local.reports.html import readable_json, render
from blendin_local.reports.page import blend_settings
from blendin_local.views.answer import excess_warning, footer_items, shown_decisions
from blendin_local.views.answer_tables import lists_of, source_text, winner
from blendin_local.views.form import form_items, form_text, incomplete_warning, legal_text
from blendin_local.views.stored_answers import answer_facts, answer_label, by_question, question_of
from blendin_local.views.visible import END_NAME, escape_controls, visible

TOOLTIP_CANDIDATES = 5


def render_html(prompts: Mapping[str, str], completion: Completion, messages: Sequence[Message] = ()) -> str:
    """The self-contained page of one answer: every step marked, its candidates shown on hover or by keyboard.

    Args:
        prompts: Rendered prompt by role; shown below the answer.
        completion: The answer; its steps' candidates are shown if they were recorded.
        messages: The conversation that was answered: the last question stands above the answer.
    """
    answer = _Answer(
        "Answer",
        tuple(_parts(completion)),
        tuple(_facts(completion)),
        tuple(_warnings(completion)),
        completion.notices,
    )
    return _page(
        "A guided answer",
        _models_line(completion.signature),
        [_Question(escape_controls(messages[-1].text) if messages else "", (answer,))],
        _before(messages) | _details_texts(prompts, completion.signature),
    )


def render_stored(answers: Sequence[StoredAnswer]) -> str:
    """The self-contained page of stored answers, those to one question beside each other, marked likewise."""
    questions = [
        _Question(escape_controls(question_of(same[0])), tuple(map(_stored, same)))
        for same in by_question(answers)
    ]
    details: dict[str, str] = {}
    for stored in answers:
        texts = _before(stored.messages) | _details_texts(stored.prompts, stored.signature)
        details |= texts if len(answers) == 1 else {f"{name}: {stored.name}": texts[name] for name in texts}
    title = "A stored answer" if len(answers) == 1 else "Stored answers"
    return _page(title, _common_models(answers), questions, details)


def _stored(stored: StoredAnswer) -> _Answer:
    facts = " · ".join(answer_facts(stored))
    return _Answer(answer_label(stored).capitalize(), tuple(_parts(stored)), (escape_controls(facts),))


def _page(title: str, subtitle: str, questions: Sequence[_Question], details_texts: Mapping[str, str]) -> str:
    parts = [part for question in questions for answer in question.answers for part in answer.parts]
    return render(
        "answer.html",
        title=title,
        subtitle=subtitle,
        questions=questions,
        sources={part.step.source for part in parts},
        details_texts=details_texts,
        steps=[_step_facts(part.step) for part in parts],
    )


def render_fragment(completion: Completion) -> str:
    """The answer as a fragment for another page: marks, and candidates as tooltips.

    It has inline styles only, so it cannot change the page around it. It inherits font and text colour, so it
    follows a notebook's theme; it is as tall as the answer, and needs no script. An `iframe` would isolate
    too, but it has a fixed height, follows the system's theme, and some notebook viewers remove it.
    Its classes keep MathJax from reading dollar signs in the answer as formulas.
    """
    lines = [*_facts(completion), *_warnings(completion), *completion.notices]
    return render("answer_fragment.html", parts=list(_parts(completion)), lines=lines)


def _facts(completion: Completion) -> list[str]:
    """The lines below the answer: its facts, and what a form did."""
    return [" · ".join(items) for items in (footer_items(completion), form_items(completion)) if items]


def _warnings(completion: Completion) -> list[str]:
    """What a reader is to be warned of."""
    return [text for text in (incomplete_warning(completion), excess_warning(completion)) if text]


@dataclass(frozen=True)
class _Part:
    """A step as the templates show it.

    Attributes:
        step: The step.
        text: What it added to the answer, control characters made visible; `END` for the end.
        is_end: Whether it is the END of the answer.
        is_asked_blank: Whether the guide was asked and the outcome is white space, which must be seen.
    """

    step: Step
    text: str
    is_end: bool
    is_asked_blank: bool

    @property
    def space(self) -> str:
        """The white space before its word, which is not marked; a blank of an asked step is."""
        return "" if self.is_asked_blank else self.text[: len(self.text) - len(self.text.lstrip())]

    @property
    def marked(self) -> str:
        """What is marked."""
        return self.text[len(self.space) :]

    @property
    def summary(self) -> str:
        """What the step added and where it comes from, on one line."""
        return f"{visible(self.step.bytes)}: {source_text(self.step)}"

    @property
    def candidates(self) -> str:
        """The summary, a line for each model with its likeliest candidates, and what a form left of them."""
        alpha = "" if self.step.alpha is None else f"; alpha {self.step.alpha:.2f}"
        lines = [f"{role}: {_listed(found)}" for role, found in _candidates_by_role(self.step).items()]
        return "\n".join([self.summary + alpha, *lines, *filter(None, [legal_text(self.step)])])


@dataclass(frozen=True)
class _Answer:
    """An answer as the page shows it: what stands above it, its parts, and the lines below it."""

    name: str
    parts: tuple[_Part, ...]
    facts: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Question:
    """A question with the answers to it; empty where it is not known."""

    text: str
    answers: tuple[_Answer, ...]


def _parts(answer: Stepwise) -> Iterator[_Part]:
    for step, text in shown_decisions(answer):
        shown = escape_controls(text) if text else END_NAME
        yield _Part(step, shown, is_end=not text, is_asked_blank=step.asked and not shown.strip())


def _candidates_by_role(step: Step) -> dict[str, tuple[Candidate, ...]]:
    """The known lists: base, guide, blend."""
    lists = lists_of(step)
    named = {"base": lists.base, "guide": lists.guide, "blend": lists.blend}
    return {role: candidates for role, candidates in named.items() if candidates}


def _listed(candidates: Sequence[Candidate]) -> str:
    """`·Sure 83.0 %, ·I 12.0 %`."""
    return ", ".join(f"{visible(c.bytes)} {percent(c.p)}" for c in candidates[:TOOLTIP_CANDIDATES])


def _step_facts(step: Step) -> dict[str, Any]:
    """What the page's script shows of a step."""
    why = source_text(step) + ("" if step.alpha is None else f"; alpha {step.alpha:.2f}")
    lists = _candidates_by_role(step)
    won = winner(step, (candidate for candidates in lists.values() for candidate in candidates))
    rows = {role: _rows(candidates, won) for role, candidates in lists.items()}
    sentences = [f"{why[0].upper()}{why[1:]}.", *filter(None, [legal_text(step)])]
    return {"i": step.i, "text": visible(step.bytes), "why": " ".join(sentences), **rows}


def _rows(candidates: Sequence[Candidate], won: bytes | None) -> list[tuple[str, float, str, bool]]:
    """Name, probability as a number and as it is shown, and whether it won."""
    return [(visible(c.bytes), round(c.p, 5), percent(c.p), c.bytes == won) for c in candidates]


def _models_line(signature: Mapping[str, Any]) -> str:
    """`base FILE · guide FILE · method blendin · threshold 0.4 · alpha auto`, as far as it is recorded."""
    models = [f"{role} {_file_name(model)}" for role, model in signature.get("models", {}).items()]
    return " · ".join([*models, *blend_settings(signature)])


def _common_models(answers: Sequence[StoredAnswer]) -> str:
    """`base FILE · guide FILE`, where all answers are of the same models; else empty."""
    found: dict[str, set[str]] = {}
    for stored in answers:
        for role, model in stored.signature.get("models", {}).items():
            found.setdefault(role, set()).add(_file_name(model))
    if any(len(names) > 1 for names in found.values()):
        return ""
    return " · ".join(f"{role} {name}" for role, names in found.items() for name in names)


def _file_name(model: object) -> str:
    """The file of a model's signature, without its folder."""
    name = model.get("file", model.get("path", "")) if isinstance(model, Mapping) else model
    return str(name).replace("\\", "/").rsplit("/", 1)[-1]


def _before(messages: Sequence[Message]) -> dict[str, str]:
    """The system text and the earlier messages, as one text that opens on demand."""
    text = "\n\n".join(f"{message.speaker}:\n{message.text}" for message in messages[:-1])
    return {"Before the question": escape_controls(text)} if text else {}


def _details_texts(prompts: Mapping[str, str], signature: Mapping[str, Any]) -> dict[str, str]:
    """Texts that open on demand, by title."""
    texts = form_text(signature.get("answer", {}))
    texts |= {f"Prompt of the {role}": text for role, text in prompts.items()}
    if signature:
        texts["Files, versions and settings"] = readable_json(signature)
    return {title: escape_controls(text) for title, text in texts.items()}
