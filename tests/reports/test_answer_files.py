from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from blendin_local.core.records import Candidate, Completion, Step
from blendin_local.reports.answer_html import render_html, visible_parts
from blendin_local.reports.answer_svg import render_svg
from tests.answers import asked_step, base_step, completion

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
    assert data_of(html)[0]["base"] == [["</script><b>&amp;^[", 0.9, True]]


def test_each_step_is_a_mark_with_its_candidates():
    """Spans and facts stand in the same order, and the winner is named."""
    html = page(base_step(0, b"Well"), asked_step(1))
    assert html.count('tabindex="-1"') == 2
    assert 'class="step changed"' in html
    facts = data_of(html)[1]
    assert facts["why"] == "The guide was asked and changed the outcome; alpha 0.81."
    assert facts["guide"][0] == ["·Sure", 0.83, True]


def test_a_cut_stop_string_is_not_shown_and_end_is():
    """The answer is the completion's text, followed by END where it won."""
    steps = (base_step(0, b"Yes."), base_step(1, b"\nQ"), base_step(2, b"uestion:"))
    end = Step(3, b"", "changed", 0.5)
    answer = Completion("Yes.\n", steps, "stop_string", end)
    assert [text for _, text in visible_parts(answer)] == ["Yes.", "\n", ""]
    assert ">END</span>" in render_html({}, answer)


def test_the_picture_is_stable_and_closed():
    """The same answer gives the same SVG, which names no web font and no address but its namespace."""
    answer = completion(base_step(0, b"Well"), asked_step(1))
    picture = render_svg("Why <b>?", answer)
    assert picture == render_svg("Why <b>?", answer)
    assert "font-face" not in picture
    assert re.findall(r"https?://[^\s\"]+", picture.replace("http://www.w3.org/2000/svg", "")) == []
