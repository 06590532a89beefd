"""What the form of an answer did to it, in words.

Here: `has_form`, `form_text`; `form_items` and `incomplete_warning` for the lines below an answer,
`legal_text` for one step.
Not here: the lines themselves (`views.answer`), how a form is matched (`grammar`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blendin_local.core.percent import percent
from blendin_local.core.records import Completion, Step, StoppedBy
from blendin_local.settings import FORMS

ALL = 0.9995  # of a probability, as far as a person is told of it: 100.0 %
CUTS: Mapping[StoppedBy, str] = {
    "max_tokens": "cut by its length",
    "context": "cut by a full context",
    "stop_string": "cut at a stop string",
    "user": "stopped by you",
}
"""What can end an answer before it has its form."""
FORM_NAMES: Mapping[str, str] = {
    "json_schema": "JSON Schema",
    "regex": "Regular expression",
    "grammar": "Grammar",
}
"""A title for the text of each form."""
UNFINISHED: Mapping[str, str] = {
    "json_schema": "the JSON is not complete",
    "regex": "the text does not match the regular expression",
    "grammar": "the text does not match the grammar",
}
"""What is then wrong with it, by the setting of its form."""


def has_form(answer: Mapping[str, Any]) -> bool:
    """Whether an answer with these settings, by their fields, must have a form."""
    return _form_of(answer) is not None


def form_text(answer: Mapping[str, Any]) -> dict[str, str]:
    """The form that an answer with these settings must have: its text by its name; empty without one."""
    form = _form_of(answer)
    return {FORM_NAMES[form]: str(answer[form])} if form else {}


def _form_of(answer: Mapping[str, Any]) -> str | None:
    return next((each for each in FORMS if answer.get(each) is not None), None)


def form_items(completion: Completion) -> list[str]:
    """How much the form wrote, and how much each model gave to what was legal; empty without a form."""
    if completion.complete is None:
        return []
    blend = completion.blend
    gave = _gave(blend.legal_base, blend.legal_guide)
    n_steps = blend.forced + blend.steps
    wrote = f"the form wrote {blend.forced:,} of {n_steps:,} {'step' if n_steps == 1 else 'steps'}"
    return [wrote, *([f"{gave} to what was legal"] if gave else [])]


def incomplete_warning(completion: Completion) -> str:
    """`cut by its length: the JSON is not complete`; empty for an answer that has its form, or needs none."""
    if completion.complete is not False:
        return ""
    form = _form_of(completion.signature.get("answer", {}))
    cut = CUTS.get(completion.stopped_by, "ended too early")
    return f"{cut}: {UNFINISHED[form] if form else 'the answer is not complete'}"


def legal_text(step: Step) -> str:
    """How much each model gave to what was legal at a step, as a sentence; empty where that was all."""
    masses = [mass for mass in (step.legal_base, step.legal_guide) if mass is not None]
    if masses and min(masses) < ALL:
        gave = _gave(step.legal_base, step.legal_guide)
        return f"{gave[0].upper()}{gave[1:]} to what was legal here; the probabilities are shares of that."
    return ""


def _gave(base: float | None, guide: float | None) -> str:
    """`the base gave 87.8 %, the guide 91.2 %`, of those that were asked."""
    shares = [(role, percent(p)) for role, p in (("base", base), ("guide", guide)) if p is not None]
    return ", ".join(f"the {role} {'' if i else 'gave '}{share}" for i, (role, share) in enumerate(shares))
