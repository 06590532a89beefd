"""An answer as a page, as a fragment in a notebook and as a picture."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from blendin_local.core.records import Candidate, Completion, Step
from blendin_local.reports.answer_html import render_html
from blendin_local.reports.answer_svg import render_svg
from blendin_local.views.answer import shown_decisions
from blendin_local.views.palette import DARK, LIGHT
from tests.answers import asked_step, base_step, completion
from tests.contrast import contrast, rgb
from tests.paths import ROOT

EVIL = b"</script><b>&amp;\x1b"


def page(*steps: Step, prompts=None) -> str:
    return render_html(prompts or {"base": "Q: <i>why</i>?\nA:"}, completion(*steps))


def data_of(html: str):
    return json.loads(re.search(r'id="steps">(.*?)</script>', html, re.S)[1])


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_page_asks_nothing_of_the_network():
    """No element refers to anything outside the file, and its policy forbids it."""
    reader = Reader()
    reader.feed(page(base_step(0, b"a"), asked_step(1)))
    assert not [attrs for _, attrs in reader.tags if {"src", "href"} & attrs.keys()]
    assert not {"link", "img", "iframe"} & {tag for tag, _ in reader.tags}
    assert any(attrs.get("content", "").startswith("default-src 'none'") for _, attrs in reader.tags)


def test_nothing_from_a_model_or_user_is_markup():
    """Text that looks like HTML stays text, in the answer, the candidates and the prompts."""
    html = page(
        Step(0, EVIL, "base", base_top=Candidate(EVIL, 0.9)), prompts={"base": "</pre><script>x</script>"}
    )
    assert "<b>" not in html
    assert html.count("</script>") == 2
    assert "<script>x" not in html
    assert "\x1b" not in html
    assert data_of(html)[0]["base"] == [["</script><b>&amp;^[", 0.9, "90.0 %", True]]


def test_each_step_is_a_mark_with_its_candidates():
    """Spans and facts stand in the same order, and the winner is named."""
    html = page(base_step(0, b"Well"), asked_step(1))
    assert html.count('tabindex="-1"') == 2
    assert 'class="step changed"' in html
    facts = data_of(html)[1]
    assert facts["why"] == "The guide was asked and changed the outcome; alpha 0.81."
    assert facts["guide"][0] == ["·Sure", 0.83, "83.0 %", True]


def test_a_cut_stop_string_is_not_shown_and_end_is():
    """The answer is the completion's text, followed by END where it won."""
    steps = (base_step(0, b"Yes."), base_step(1, b"\nQ"), base_step(2, b"uestion:"))
    end = Step(3, b"", "changed", 0.5)
    answer = Completion("Yes.\n", steps, "stop_string", end)
    assert [text for _, text in shown_decisions(answer)] == ["Yes.", "\n", ""]
    assert ">END</span>" in render_html({}, answer)


def test_the_picture_is_stable_and_closed():
    """The same answer gives the same SVG, which names no web font and no address but its namespace."""
    answer = completion(base_step(0, b"Well"), asked_step(1))
    picture = render_svg("Why <b>?", answer)
    assert picture == render_svg("Why <b>?", answer)
    assert "font-face" not in picture
    assert re.findall(r"https?://[^\s\"]+", picture.replace("http://www.w3.org/2000/svg", "")) == []


def test_the_picture_has_the_colours_of_both_themes():
    """One drawing and two style sheets: dark colours for whoever prefers dark, light ones for all others."""
    answer = completion(base_step(0, b"Well"), asked_step(1), asked_step(2, b" I", "kept"))
    light, _, rest = render_svg("Why?", answer).partition("@media (prefers-color-scheme: dark)")
    dark, _, drawing = rest.partition("</style>")
    for colors, sheet in ((LIGHT, light), (DARK, dark)):
        for name in ("changed", "quiet", "warning", "prompt"):
            assert colors.hex(name) in sheet
            assert colors.hex(name) not in drawing
    classes = re.findall(r"\.(blendin-r\d+) \{", light)
    assert classes == re.findall(r"\.(blendin-r\d+) \{", dark)
    assert set(re.findall(r'class="(blendin-r\d+)"', drawing)) <= set(classes)


def variables(css):
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", css))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_of_a_page_can_be_read(theme):
    """Text has at least 4.5:1 on page, card and tint; the line under a kept word 3:1, as signs need."""
    css = render_html({}, completion(base_step(0, b"x"))).split("</style>")[0]
    light, _, dark = css.partition("@media (prefers-color-scheme: dark)")
    of = variables(light if theme == "light" else dark.split("* {")[0])
    assert of["changed"] == (LIGHT if theme == "light" else DARK).hex("changed")
    pairs = [(name, behind) for name in ("text", "muted", "changed") for behind in ("background", "card")]
    pairs += [("changed", "changed-bg"), ("text", "changed-bg"), ("text", "warn-bg"), ("text", "line")]
    for name, behind in pairs:
        assert contrast(rgb(of[name]), rgb(of[behind])) >= 4.5, (name, behind)
    for name, behind in (("kept", "card"), ("warn", "background")):
        assert contrast(rgb(of[name]), rgb(of[behind])) >= 3, (name, behind)


FORCED = Step(0, b'{"name": "', "forced")
OF_FORM = replace(
    completion(FORCED, replace(asked_step(1), legal_base=0.5, legal_guide=0.25), stopped_by="max_tokens"),
    complete=False,
    signature={"answer": {"json_schema": '{"title": "<person>"}'}},
)


def test_the_page_explains_what_a_form_did():
    """Forced text has its mark and its sentence, the lines below say the rest, and the schema can be read."""
    html = render_html({}, OF_FORM)
    assert '<span class="step forced" tabindex="-1"' in html
    assert '<span class="step forced">forced</span> the form allowed nothing else' in html
    first, second = data_of(html)
    assert first["why"] == "The form allowed nothing else, so no model was asked."
    assert second["why"].endswith(
        "alpha 0.81. The base gave 50.0 %, the guide 25.0 % to what was legal here; the probabilities are "
        "shares of that."
    )
    assert ">the form wrote 1 of 2 steps · the base gave 50.0 %, the guide 25.0 % to what was legal<" in html
    assert '<p class="warning">cut by its length: the JSON is not complete</p>' in html
    assert "<summary>JSON Schema</summary>" in html
    assert "&lt;person&gt;" in html


def test_the_page_of_an_answer_without_a_form_does_not_speak_of_forms():
    """Neither its legend nor the lines below."""
    html = page(base_step(0, b"Well"), asked_step(1)).split("<script")[0].split("</style>")[1]
    assert "form" not in html


def test_a_notebook_and_a_picture_mark_forced_text():
    """In italics, with what the form did below; the tooltip says that no model was asked."""
    shown = ElementTree.fromstring(OF_FORM._repr_html_())
    span = shown.find("./div/span")
    assert span.get("style").startswith("font-style: italic")
    assert span.get("title") == '{"name":·": the form allowed nothing else, so no model was asked'
    lines = ["".join(div.itertext()) for div in shown.findall("div")]
    assert "the form wrote 1 of 2 steps" in lines[2]
    assert lines[3] == "cut by its length: the JSON is not complete"

    picture = render_svg("Who?", OF_FORM)
    assert "font-style: italic" in picture
    assert "the&#160;JSON&#160;is&#160;not&#160;complete" in picture


CLICKS = """<script>
const spans = [...document.querySelectorAll(".answer .step")], seen = [];
const boxed = (span) => getComputedStyle(span).outlineStyle !== "none";
const boxes = () => spans.map((span, at) => boxed(span) ? at : -1).filter((at) => at >= 0);
const mouse = (span) => {
  span.dispatchEvent(new MouseEvent("mousedown", {bubbles: true}));
  span.focus();
  span.click();
};
const key = (name) => {
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
};
const note = () => seen.push([boxes(), document.querySelector("#inspector h2").textContent]);
const use = () => {
  note(); mouse(spans[1]); note(); key("n"); note(); key("ArrowLeft"); note(); key("Enter"); note();
  mouse(spans[3]); mouse(spans[3]); note();
  document.body.dataset.seen = JSON.stringify(seen);
};
const begin = () => document.hasFocus() ? use() : setTimeout(begin, 20);  // else no focus is told
begin();
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium to click in")
def test_one_step_at_a_time_has_a_box(tmp_path):
    """A click pins a step; keys move the one box on, and the panel with it; a second click frees it."""
    steps = [base_step(0, b"A"), asked_step(1), base_step(2, b"b"), asked_step(3, b" c", "kept")]
    path = tmp_path / "page.html"
    path.write_text(page(*steps).replace("</body>", f"{CLICKS}</body>"))
    command = [
        "chromium",
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=5000",
        "--dump-dom",
    ]
    command.append(path.as_uri())
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    assert json.loads(unescape(re.search(r'data-seen="([^"]*)"', shown)[1])) == [
        [[1], "Step 1"],
        [[1], "Step 1, pinned"],
        [[3], "Step 3, pinned"],
        [[2], "Step 2, pinned"],
        [[2], "Step 2"],
        [[3], "Step 3"],
    ]


def fragment(*steps: Step) -> ElementTree.Element:
    """What a notebook shows, read as strictly as XML."""
    return ElementTree.fromstring(completion(*steps)._repr_html_())


def test_a_completion_is_its_own_page():
    """`to_html` is the page of `run --html`, with the prompts that are given."""
    answer = completion(base_step(0, b"Well"), asked_step(1))

    assert answer.to_html() == render_html({}, answer)
    assert "Prompt of the base" in answer.to_html({"base": "Q"})
    assert "Prompt of" not in answer.to_html()


def test_a_notebook_shows_marks_and_candidates():
    """Guided steps carry a mark of their own, and a tooltip with every list; the footer stands below."""
    shown = fragment(base_step(0, b"Well"), asked_step(1), asked_step(2, b" I", "kept"))
    plain, changed, kept = shown.findall("./div/span")

    assert [span.text for span in (plain, changed, kept)] == ["Well", "Sure", "I"]
    assert (
        "".join(shown.find("div").itertext()).split("\n")[0].strip() == "Well Sure I"
    )  # spaces are not marked
    assert (plain.get("style"), changed.get("style")[:17], kept.get("style")[:26]) == (
        "",
        "font-weight: bold",
        "text-decoration: underline",
    )
    assert changed.get("title").splitlines() == [
        "·Sure: the guide was asked and changed the outcome; alpha 0.81",
        "base: ·I 21.0 %, ⏎ 10.0 %, END 5.0 %",
        "guide: ·Sure 83.0 %, <F0 9F> 10.0 %",
        "blend: ·Sure 66.0 %, ·I 12.0 %",
    ]
    assert "3 steps · 66.7 % asked (!) · 33.3 % changed" in shown.findall("div")[1].text


def test_a_fragment_changes_nothing_around_it():
    """It holds neither style sheet nor script, and no class but the two that keep MathJax away."""
    shown = fragment(base_step(0, b"$5 or $6"), asked_step(1))

    assert {element.tag for element in shown.iter()} == {"div", "span"}
    assert [e.get("class") for e in shown.iter() if e.get("class")] == ["mathjax_ignore tex2jax_ignore"]


def test_hostile_text_stays_text_in_a_notebook():
    """Markup, quotes and controls of a model are characters, in the answer and in its tooltips."""
    hostile = b"</span><script>'\"&amp;\x1b"
    shown = fragment(Step(0, hostile, "base", base_top=Candidate(hostile, 0.9)))
    [span] = shown.findall("./div/span")

    assert span.text == "</span><script>'\"&amp;^["
    assert span.get("title").splitlines()[1] == "base: </span><script>'\"&amp;^[ 90.0 %"


@pytest.mark.parametrize("render", [Completion.to_html, Completion._repr_html_])
def test_a_guided_line_break_can_be_seen(render):
    """White space that came of asking has a sign of its own; the base's own has none."""
    assert ">⏎</span>\n" in render(completion(asked_step(0, b"\n")))
    assert ">⏎</span>" not in render(completion(base_step(0, b"\n")))


def test_the_end_is_marked_in_a_notebook():
    """END stands after the answer in a frame of its own."""
    step = base_step(0, b"Yes.")
    answer = Completion("Yes.", (step,), "guide_end", Step(1, b"", "changed", 0.5))
    said, end = ElementTree.fromstring(answer._repr_html_()).findall("./div/span")

    assert (said.text, end.text) == ("Yes.", "END")
    assert "border" in end.get("style")


def test_a_record_needs_no_template_until_it_is_shown():
    """The core imports no template library; only showing an answer does."""
    code = (
        "import sys\n"
        "for name in ('jinja2', 'rich'): sys.modules[name] = None\n"
        "from blendin_local.core.records import Completion\n"
        "answer = Completion('x', (), 'base_end')\n"
        "assert 'blendin_local.reports' not in sys.modules\n"
        "try: answer.to_html()\n"
        "except ImportError: print('needed now')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)

    assert done.stdout == "needed now\n"


def test_records_alone_import_upwards_by_name():
    """No module below the command line hides an import in a string, but for a record that shows itself."""
    rooms = ("core", "decode", "engine", "jobs", "pair")
    sources = [path for room in rooms for path in (ROOT / "blendin_local" / room).rglob("*.py")]
    by_name = [path.name for path in sources if 'import_module("blendin_local' in path.read_text()]

    assert by_name == ["records.py"]
