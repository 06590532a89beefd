"""One answer as one self-contained HTML page (`blendin run --html FILE`).

Here: `render_html`, a pure function; its style and script lie in `assets/` and are put into the page.
Not here: the terminal's views (`views.answer`, `views.answer_tables`).
The page asks nothing of the network, and every text that came from a model or a user is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from blendin_local.core.records import Candidate, Completion, Step
from blendin_local.views.answer import excess_warning, footer_items
from blendin_local.views.answer_tables import lists_of, said_by, winner
from blendin_local.views.visible import END_NAME, escape_controls, visible

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>A guided answer · blendin-local</title>
<style>
{css}</style>
</head>
<body>
<header>
<h1>A guided answer</h1>
<p class="models">{models}</p>
</header>
<main>
<p class="legend" aria-hidden="true">
<span><span class="step changed">changed</span> the guide changed the outcome</span>
<span><span class="step kept">kept</span> the guide was asked, the base's choice stayed</span>
<span><span class="step plain">plain</span> the guide was not asked, or speaks alone</span>
</p>
<div class="columns">
<section class="card">
<h2>Answer</h2>
<div class="answer">{answer}</div>
</section>
<aside class="card inspector" id="inspector" aria-live="polite">
<p>Candidates are shown here by a script.</p></aside>
</div>
<p class="summary">{summary}</p>
{remarks}
<p class="summary keys">Point at a word, or <kbd>Tab</kbd> into the answer: <kbd>←</kbd> <kbd>→</kbd> by step,
<kbd>n</kbd> <kbd>p</kbd> to the next or previous asked step, <kbd>Enter</kbd> or a click to hold one.</p>
{details}
</main>
<script type="application/json" id="steps">{data}</script>
<script>
{js}</script>
</body>
</html>
"""


def render_html(prompt_texts: Mapping[str, str], completion: Completion) -> str:
    """The page of one answer.

    Args:
        prompt_texts: Rendered prompt by role.
        completion: The answer; its steps' candidates are shown as far as they were kept.
    """
    shown = list(visible_parts(completion))
    return PAGE.format(
        css=_asset("answer.css"),
        js=_asset("answer.js"),
        models=escape(_models_line(completion.signature)),
        answer="".join(_span(step, text) for step, text in shown),
        summary=escape(" · ".join(footer_items(completion))),
        remarks=_remarks(completion),
        details=_details(prompt_texts, completion.signature),
        data=_script_json([_step_facts(step) for step, _ in shown]),
    )


def visible_parts(completion: Completion) -> Iterator[tuple[Step, str]]:
    """Each step with what is left of it in the answer's text, then END if it won."""
    left = len(completion.text)
    for step in completion.steps:
        text = step.text[:left]
        left -= len(text)
        if text:
            yield step, text
    if completion.end is not None:
        yield completion.end, ""


def _span(step: Step, text: str) -> str:
    inside = escape(escape_controls(text))
    if step.asked and not text.strip():
        inside = inside.replace("\n", '<span class="mark" aria-hidden="true">⏎</span>\n')
    classes = f"step {step.source}"
    if not text:
        inside, classes = END_NAME, f"{classes} end"
    label = escape(f"{visible(step.bytes)}: {said_by(step)}", quote=True)
    return f'<span class="{classes}" tabindex="-1" title="{label}">{inside}</span>'


def _step_facts(step: Step) -> dict[str, Any]:
    why = said_by(step) + ("" if step.alpha is None else f"; alpha {step.alpha:.2f}")
    lists = lists_of(step)
    known = {"base": lists.base, "guide": lists.guide, "blend": lists.blend}
    columns = {role: column for role, column in known.items() if column}
    won = winner(step, (candidate for column in columns.values() for candidate in column))
    rows = {role: _rows(column, won) for role, column in columns.items()}
    return {"i": step.i, "said": visible(step.bytes), "why": why[0].upper() + why[1:] + ".", **rows}


def _rows(candidates: Sequence[Candidate], won: bytes | None) -> list[tuple[str, float, bool]]:
    return [(visible(c.bytes), round(c.p, 5), c.bytes == won) for c in candidates]


def _script_json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _models_line(signature: Mapping[str, Any]) -> str:
    """`base FILE · guide FILE · method blendin · threshold 0.4 · alpha auto`, as far as it is recorded."""
    models = signature.get("models", {})
    names = [f"{role} {_file_name(models[role])}" for role in ("base", "guide", "anti") if role in models]
    blend = signature.get("blend", {})
    settings = [f"{name} {blend[name]}" for name in ("method", "threshold", "alpha") if name in blend]
    return " · ".join([*names, *settings])


def _file_name(model: object) -> str:
    """The file of a model's signature, without its folder."""
    name = model.get("file", model.get("path", "")) if isinstance(model, Mapping) else model
    return str(name).replace("\\", "/").rsplit("/", 1)[-1]


def _remarks(completion: Completion) -> str:
    warning = excess_warning(completion)
    lines = [f'<p class="warning">{escape(warning)}</p>'] if warning else []
    lines += [f'<p class="notice">{escape(notice)}</p>' for notice in completion.notices]
    return "\n".join(lines)


def _details(prompts: Mapping[str, str], signature: Mapping[str, Any]) -> str:
    blocks = [(f"Prompt of the {role}", text) for role, text in prompts.items()]
    if signature:
        blocks.append(
            (
                "Signature: files, versions and settings",
                json.dumps(signature, indent=2, ensure_ascii=False, default=str),
            )
        )
    return "\n".join(
        f"<details><summary>{escape(title)}</summary><pre>{escape(escape_controls(text))}</pre></details>"
        for title, text in blocks
    )


def _asset(name: str) -> str:
    return resources.files("blendin_local.reports").joinpath("assets", name).read_text(encoding="utf-8")
