"""Answers with a prescribed form on the page, on toy models."""

from __future__ import annotations

import json

import jsonschema

from blendin_local.core.percent import percent
from blendin_local.views.palette import LIGHT, rgb_of

FORM = {
    "type": "object",
    "properties": {"name": {"enum": ["hello", "world"]}, "old": {"type": "boolean"}},
    "required": ["name", "old"],
    "additionalProperties": False,
}


def set_schema(visiting, text):
    visiting.page.get_by_role("button", name="Settings").click()
    visiting.page.get_by_label("JSON Schema").fill(text)
    visiting.page.get_by_label("Most tokens").fill("60")
    visiting.page.keyboard.press("Escape")


def test_an_answer_with_a_form_is_marked_and_counted(visit, server):
    """Forced text is quiet, in the legend, in no rate, and has no candidates; a stored answer's, too."""
    visiting = visit(server)
    set_schema(visiting, json.dumps(FORM))
    visiting.ask()
    choice = server.chat(blend={"json_schema": FORM, "candidates": 8}, max_tokens=60)["choices"][0]
    sources = [part["source"] for part in choice["blend"]]
    n_forced = sources.count("forced")

    assert visiting.texts(".answer") == [choice["message"]["content"]]
    assert choice["complete"]
    forced = visiting.page.locator(".answer .forced")
    assert forced.count() == n_forced > 0
    assert visiting.style(".answer .forced", "fontStyle") == "italic"
    assert visiting.style(".answer .forced", "color") == "rgb({}, {}, {})".format(*rgb_of(LIGHT.quiet))
    assert visiting.texts("#legend > span")[-1] == "forced by the form"
    footer = visiting.texts(".card footer > span")[0].replace("\u00a0", " ")
    n = len(sources) - n_forced
    assert f"{n} step" in footer
    assert f"· complete · the form wrote {n_forced} of {len(sources)} steps" in footer
    masses = [part["legal_base"] for part in choice["blend"] if "legal_base" in part]
    assert f"the base gave {percent(sum(masses) / len(masses))}" in footer
    forced.first.click()
    assert visiting.texts("#popover .quiet") == [
        "Step 1: the form allowed nothing else, so no model was asked."
    ]
    assert visiting.page.locator("#popover .row").count() == 0
    visiting.page.keyboard.press("Escape")
    visiting.page.reload()
    visiting.page.locator("#conversations .open").first.click()
    assert visiting.page.locator(".answer .forced").count() == n_forced


def test_the_candidates_of_a_form_are_shares_of_what_was_legal(visit, server):
    """The box says how much each model gave to it, and a branch from a candidate has the form too."""
    visiting = visit(server)
    set_schema(visiting, json.dumps(FORM))
    visiting.ask()
    span = visiting.page.locator(".answer .step:not(.forced)").first
    n = int(span.get_attribute("data-step"))
    part = server.chat(blend={"json_schema": FORM, "candidates": 8}, max_tokens=60)["choices"][0]["blend"][n]
    span.click()
    [said] = [text for text in visiting.texts("#popover .hint") if "legal" in text]
    assert f"The base gave {percent(part['legal_base'])}" in said.replace("\u00a0", " ")
    visiting.page.locator("#popover button.row", has_text="w").first.click()
    visiting.wait()
    first, second = visiting.texts(".columns .answer")
    assert (json.loads(first)["name"], json.loads(second)["name"]) == ("hello", "world")
    jsonschema.validate(json.loads(second), FORM)


def test_a_form_that_was_cut_is_said_to_be_incomplete(visit, server):
    """By the length, in a line of its own."""
    visiting = visit(server)
    set_schema(visiting, json.dumps(FORM))
    visiting.page.get_by_role("button", name="Settings").click()
    visiting.page.get_by_label("Most tokens").fill("1")
    visiting.page.keyboard.press("Escape")
    visiting.ask()
    assert "cut by its length: the JSON is not complete" in visiting.texts(".card .warning")


def test_data_is_not_shown_as_markdown(visit, server):
    """Every character of it is on the page."""
    visiting = visit(server)
    set_schema(visiting, '{"const": "**a** `b` # c\\\\n\\\\n- d"}')
    visiting.ask()
    assert visiting.texts(".answer") == ['"**a** `b` # c\\\\n\\\\n- d"']
