"""Jinja2 templates: the only place where HTML comes from.

Here: `render` for a whole page, `block` for one macro of `blocks.html`, `asset` for a file as it is.
Not here: what is on a page (`reports.answer_html`, `reports.check_page`, `reports.evaluation.page`).
The templates are in `assets/`, with the style sheets and scripts that they include: a page needs no other
file. Values are escaped unless they are `Markup`: the output of a template, or a plot (`reports.plots.axes`).
A name that a template does not get is an error, not an empty place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from blendin_local.views.palette import DARK, LIGHT

_SIGNS = ("-", "+", "−", "–", "<", ">")  # noqa: RUF001 - minus and dash


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("blendin_local.reports", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.tests["numeric"] = is_numeric
    environment.globals |= {"light": LIGHT, "dark": DARK}
    # `tojson` writes <, > and & as escapes, so that no text ends the script element that contains it.
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return environment


def render(template: str, **values: object) -> str:
    """A template of `assets/` filled with values."""
    return _environment().get_template(template).render(**values)


def block(name: str, *arguments: object) -> Markup:
    """The output of a macro of `blocks.html`."""
    macro: Any = getattr(_environment().get_template("blocks.html").module, name)
    return Markup(macro(*arguments))


def asset(name: str) -> str:
    """A file of `assets/` as text."""
    return resources.files("blendin_local.reports").joinpath("assets", name).read_text(encoding="utf-8")


def is_numeric(text: str) -> bool:
    """Whether a cell of a table shows a number, so that it is set in figures of equal width."""
    return text[:1].isdigit() or text.startswith(_SIGNS)


def readable_json(value: Mapping[str, Any]) -> str:
    """JSON for people, one field a line."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
