"""What a person sees and does on the page, on toy models."""

from __future__ import annotations

import json

import pytest

from blendin_local.views.answer import excess_warning
from blendin_local.views.palette import DARK, LIGHT, rgb_of
from tests import answers
from tests.http_server import running_server, toy_spec
from tests.page import HOSTILE


@pytest.fixture
def visiting(visit, server):
    """The page, and one answer on it."""
    visiting = visit(server)
    visiting.ask()
    return visiting


def css(number):
    """A colour of the palette as browsers write it."""
    return "rgb({}, {}, {})".format(*rgb_of(number))


def asked_step(visiting):
    """A token at which the guide was asked, that has a word on the page."""
    return visiting.page.locator(".answer .changed:not(.blank), .answer .kept:not(.blank)").first


def test_an_answer_is_streamed_with_its_marks_and_its_footer(visit, server):
    """The text is the server's, each token is marked with its source, and the footer counts them."""
    visiting = visit(server)
    visiting.ask()
    choice = server.chat(blend={"candidates": 8})["choices"][0]

    for part in choice["blend"]:
        spans = visiting.page.locator(f'.answer [data-step="{part["step"]}"]')
        if spans.count():
            assert part["source"] in spans.first.get_attribute("class").split()
    stored = visiting.stored()[0]["turns"][0]["branches"][0]
    assert "".join(token["text"] for token in stored["tokens"]) == choice["message"]["content"]
    changed = sum(part["source"] == "changed" for part in choice["blend"])
    footer = visiting.texts(".card footer > span")[0].replace("\u00a0", " ")
    assert f"12 steps · {n_asked(choice) * 100 / 12:.1f} % asked" in footer
    assert f"{changed * 100 / 12:.1f} % changed · at the limit" in footer


def n_asked(choice):
    return sum(part["source"] in {"changed", "kept"} for part in choice["blend"])


def test_words_grow_while_the_models_work_and_stop_where_the_person_stops_them(visit, server):
    """A slow answer is on the page before it ends; the stop button frees its place, and its text stays."""
    visiting = visit(server)
    server.pause_s = 0.3
    try:
        visiting.page.fill("#question", "the hello world")
        visiting.page.keyboard.press("Enter")
        visiting.page.locator(".answer .step").nth(1).wait_for()
        assert visiting.texts(".working") == [""]  # the prompt is read
        visiting.page.get_by_role("button", name="Stop").click()
        visiting.wait()
        server.until(lambda: server.busy() == (0, 0))
    finally:
        server.pause_s = 0.0

    assert "stopped by you" in visiting.texts(".card footer > span")[0]
    tokens = visiting.stored()[0]["turns"][0]["branches"][0]["tokens"]
    assert 2 <= len(tokens) < 12


def test_the_candidates_of_a_token_are_shown_side_by_side(visiting, server):
    """A click on an asked token shows what base, guide and blend proposed, as the server does."""
    span = asked_step(visiting)
    n = int(span.get_attribute("data-step"))
    span.click()
    part = server.chat(blend={"candidates": 8})["choices"][0]["blend"][n]

    for name, role in (("Base", "base"), ("Guide", "guide"), ("Blend", "blend")):
        rows = visiting.texts(f"#popover section[aria-label={name}] .p")
        expected = [f"{each['p'] * 100:.1f}" for each in part["candidates"][role]]
        assert [row.replace("\u00a0%", "") for row in rows] == expected
    visiting.page.keyboard.press("Escape")
    assert visiting.page.locator("#popover").is_hidden()
    assert visiting.page.evaluate("document.activeElement.dataset.step") == str(n)


def test_a_chosen_candidate_goes_on_in_a_branch_of_its_own(visiting):
    """The branch stands beside the answer: the same before the token, the candidate there, new text after."""
    span = asked_step(visiting)
    n = int(span.get_attribute("data-step"))
    span.click()
    visiting.page.locator("#popover button.row").first.click()
    visiting.wait()
    first, second = visiting.stored()[0]["turns"][0]["branches"]

    assert visiting.page.locator(".columns .card").count() == 2
    assert second["tokens"][:n] == first["tokens"][:n]
    assert second["tokens"][n]["source"] == "chosen"
    assert second["tokens"][n]["text"] != first["tokens"][n]["text"]
    assert len(second["tokens"]) == 12
    assert "chosen" in visiting.step(n, answer=1).get_attribute("class")


def test_the_legend_explains_rare_marks_where_they_occur(visiting):
    """A chosen word is in the legend once there is one, and no longer when its conversation is left."""
    usual = ["changed by the guide", "kept though the guide was asked", "plain not asked"]
    assert visiting.texts("#legend > span") == usual
    asked_step(visiting).click()
    visiting.page.locator("#popover button.row").first.click()
    visiting.wait()
    assert visiting.texts("#legend > span") == [*usual, "chosen by you"]
    assert (
        visiting.style("#legend .chosen", "boxShadow")
        == visiting.style(".answer .chosen", "boxShadow")
        != "none"
    )
    visiting.page.get_by_text("Plain", exact=True).click()
    assert visiting.texts("#legend > span") == []
    assert visiting.style(".answer .chosen", "boxShadow") == "none"


def test_a_guide_that_was_asked_too_often_is_warned_of_once(visit, server):
    """The warning is the terminal's: in full at the first answer, a sign at later ones, none at a base's."""
    visiting = visit(server)
    visiting.page.get_by_role("button", name="Settings").click()
    visiting.page.get_by_label("Threshold").fill("1")
    visiting.page.keyboard.press("Escape")
    visiting.page.check("#compare")
    visiting.ask()
    visiting.page.uncheck("#compare")
    visiting.ask("hello")
    spoken = [text.replace("\u00a0", " ") for text in visiting.texts(".card .warning") if text]
    signs = ["(!)" in text for text in visiting.texts(".card footer > span")]
    loud = excess_warning(answers.completion(answers.asked_step(0)))

    assert signs[:2] == [False, False]
    assert signs.count(True) >= 2
    assert len(spoken) == 1
    assert loud.split(" Compare")[0] == spoken[0].split(" Compare")[0]


def test_half_a_character_is_chosen_by_its_bytes(visiting, server):
    """A candidate that ends inside a character is sent as the server named it, not as it looks."""
    span = asked_step(visiting)
    part = server.chat(blend={"candidates": 8})["choices"][0]["blend"][int(span.get_attribute("data-step"))]
    halves = [
        each for each in part["candidates"]["base"] if "\ufffd" in each["token"] and each["bytes"] != [239]
    ]
    span.click()
    rows = visiting.page.locator("#popover section[aria-label=Base] button.row")
    with visiting.page.expect_request("**/v1/chat/completions") as sent:
        rows.filter(has_text=halves[0]["token"]).first.click()
    visiting.wait()

    assert sent.value.post_data_json["blend"]["fork"]["bytes"] == halves[0]["bytes"]


def test_other_settings_are_tried_on_the_answer_by_the_server(visiting, server):
    """The slider dims what would not be repeated, as `/v1/replay` says, and one click goes on from there."""
    visiting.page.get_by_role("button", name="What if").click()
    visiting.page.locator(".verdict p").first.wait_for()
    assert "The same answer, all 12 steps" in visiting.texts(".verdict")[0]
    answer_id = visiting.stored()[0]["turns"][0]["branches"][0]["serverId"]

    def replay(threshold):
        return server.post("/v1/replay", {"id": answer_id, "blend": {"threshold": threshold}}).json

    tried = ((each / 100, replay(each / 100)) for each in range(16, 101))
    threshold, found = next(each for each in tried if 0 < each[1]["step"] < 12)
    visiting.page.get_by_label("Threshold", exact=False).last.fill(str(threshold))
    visiting.page.locator(".verdict button").wait_for()

    assert found["outcome"] != "same"
    numbers = "all => all.map(e => +e.dataset.step)"
    shown = visiting.page.locator(".answer .step:not(:empty)").evaluate_all(numbers)
    dimmed = visiting.page.locator(".answer .other:not(:empty)").evaluate_all(numbers)
    assert dimmed == [n for n in shown if n >= found["step"]]
    assert dimmed != shown
    visiting.page.get_by_role("button", name="Go on from there").click()
    visiting.wait()
    first, second = visiting.stored()[0]["turns"][0]["branches"]
    assert second["tokens"][: found["step"]] == first["tokens"][: found["step"]]
    assert second["blend"]["threshold"] == threshold


def test_methods_are_compared_in_columns(visit, server):
    """Base, guide, nudging and blend answer at once, each in a column with its own text."""
    visiting = visit(server)
    visiting.page.check("#compare")
    visiting.ask()

    assert visiting.texts(".columns .card header strong") == ["base", "guide", "nudging", "blendin"]
    branches = visiting.stored()[0]["turns"][0]["branches"]
    for branch in branches:
        alone = server.chat(model=f"toy:{branch['method']}")["choices"][0]
        assert len(branch["tokens"]) == len(alone["blend"])
    assert {token["source"] for token in branches[0]["tokens"]} == {"base"}
    assert {token["source"] for token in branches[1]["tokens"]} == {"guide"}
    visiting.page.get_by_role("button", name="One at a time").click()
    assert visiting.texts('[role="tab"][aria-selected="true"]') == ["blendin"]
    visiting.page.locator('[role="tab"][aria-selected="true"]').press("ArrowLeft")
    assert visiting.texts('[role="tab"][aria-selected="true"]') == ["nudging"]


@pytest.mark.parametrize(("scheme", "palette"), [("light", LIGHT), ("dark", DARK)])
def test_light_and_dark_have_the_colours_of_the_terminal(visit, server, scheme, palette):
    """The page follows the system, and the switch overrules it; changed is also bold and underlined."""
    visiting = visit(server, scheme=scheme)
    visiting.ask()
    changed = "#legend .changed"
    other = LIGHT if palette is DARK else DARK

    assert visiting.style(changed, "color") == css(palette.changed)
    assert visiting.style(changed, "fontWeight") == "700"
    assert "underline" in visiting.style(changed, "textDecorationLine")
    assert "underline" in visiting.style("#legend .kept", "textDecorationLine")
    switch = visiting.page.locator("#theme")
    switch.click()
    if scheme == "light":
        switch.click()
    assert visiting.style(changed, "color") == css(other.changed)
    visiting.page.reload()
    assert visiting.page.evaluate("document.documentElement.dataset.theme") != scheme
    visiting.page.locator("#conversations .open").click()
    visiting.page.get_by_text("Probability").click()
    for name in ("medium", "low", "lowest"):
        assert visiting.style(f"#legend .{name}", "color") == css(getattr(other, name))


def test_everything_can_be_done_by_keyboard(visit, server):
    """Tab reaches the answer, arrows its tokens, Enter the candidates and Tab a candidate that is chosen."""
    visiting = visit(server)
    page = visiting.page
    page.locator("#question").focus()
    page.keyboard.type("the hello world")
    page.keyboard.press("Enter")
    visiting.wait()
    for _ in range(20):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.matches('.step')"):
            break
    page.keyboard.press("Home")
    shown = [
        int(n) for n in page.locator(".answer .step").evaluate_all("all => all.map(e => e.dataset.step)")
    ]
    assert page.evaluate("+document.activeElement.dataset.step") == shown[0]
    page.keyboard.press("ArrowRight")
    assert page.evaluate("+document.activeElement.dataset.step") == shown[1]
    assert page.evaluate("document.activeElement.getAttribute('role')") == "button"
    assert ": the " in page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert visiting.style(".step:focus", "outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.locator("#popover button.row").first.wait_for()
    page.locator("#popover button.row").first.press("Enter")
    visiting.wait()
    assert len(visiting.stored()[0]["turns"][0]["branches"]) == 2


def test_nothing_is_cut_off_in_a_narrow_window(visit, server):
    """At 360 pixels nothing is wider than the window, not even with candidates, columns or settings open."""
    visiting = visit(server, width=360)

    def width():
        return visiting.page.evaluate("document.documentElement.scrollWidth")

    assert width() == 360
    visiting.page.check("#compare")
    visiting.ask("a" * 200)
    assert width() == 360
    asked_step(visiting).click()
    box = visiting.page.locator("#popover").bounding_box()
    assert (box["x"], box["width"]) == (0, 360)
    visiting.page.keyboard.press("Escape")
    visiting.page.get_by_role("button", name="Settings").click()
    assert visiting.page.locator("#settings").bounding_box()["width"] <= 360
    visiting.page.keyboard.press("Escape")
    visiting.page.get_by_role("button", name="Conversations").click()
    visiting.page.get_by_role("button", name="Rename").wait_for()
    assert width() == 360


def test_text_that_looks_like_markup_stays_text(visit, server):
    """Markup in a question, an answer, a candidate, an error and the model's name is shown and never read."""
    token = {"token": HOSTILE, "p": 0.5, "bytes": [60]}
    lists = {"base": [token], "guide": [token], "blend": [token]}
    text = f"# {HOSTILE}\n\n- **{HOSTILE}** [x](javascript:document.title='caught')\n\n```\n{HOSTILE}\n```\n"
    part = {"text": text, "step": 0, "source": "changed", "alpha": 0.5, "base": token, "guide": token}
    chunk = {"id": "x", "choices": [{"index": 0, "delta": {}, "blend": [{**part, "candidates": lists}]}]}
    failure = {"error": {"message": HOSTILE}}

    def answer(route):
        frames = "".join(f"data: {json.dumps(each)}\n\n" for each in (chunk, failure))
        route.fulfill(body=frames, content_type="text/event-stream")

    def models(route):
        blend = {"method": HOSTILE, "threshold": 0.1, "models": {"base": HOSTILE}}
        route.fulfill(json={"data": [{"id": HOSTILE, "blend": blend}]})

    visiting = visit(server, routes={"/v1/chat/completions": answer, "/v1/models": models})
    visiting.ask(HOSTILE)
    visiting.page.locator(".answer .step").first.click()

    assert visiting.page.locator("img, main script, .answer a, #popover script").count() == 0
    assert "caught" not in visiting.page.title().replace(HOSTILE, "")
    assert visiting.texts("#model") == [HOSTILE]
    assert visiting.texts(".question > p") == [HOSTILE]
    assert HOSTILE in visiting.texts(".answer h3")[0]
    assert HOSTILE in visiting.texts(".problem p")[0]
    assert HOSTILE in visiting.texts("#popover .name")[0].replace("·", " ")


def test_markdown_is_formatted_and_keeps_its_tokens(visit, server):
    """Headings, lists, emphasis, code and safe links become elements; each token is found in them."""
    pieces = [
        *("## A", " title\n\n", "1. **bo", "ld** and *sl", "anted*\n2. `co", "de`\n   - in", "ner\n\n> quo"),
        *("te\n\n[li", "nk](https://example.org/)\n\n```py\nx = ", "1\n```\n"),
    ]
    rest = {"source": "base", "alpha": None, "base": {"token": "x", "p": 0.9}, "guide": None}
    blend = [{"text": text, "step": i, **rest} for i, text in enumerate(pieces)]
    chunks = [{"id": "x", "choices": [{"index": 0, "delta": {}, "blend": [each]}]} for each in blend]

    def answer(route):
        frames = "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + "data: [DONE]\n\n"
        route.fulfill(body=frames, content_type="text/event-stream")

    visiting = visit(server, routes={"/v1/chat/completions": answer})
    visiting.ask()

    assert visiting.texts(".answer h4") == ["A title"]
    assert visiting.texts(".answer li strong") == ["bold"]
    assert visiting.texts(".answer li em") == ["slanted"]
    assert visiting.texts(".answer li > code") == ["code"]
    assert visiting.texts(".answer li ul li") == ["inner"]
    assert visiting.texts(".answer blockquote p") == ["quote"]
    assert visiting.page.locator(".answer a").get_attribute("href") == "https://example.org/"
    assert visiting.texts(".answer pre code") == ["x = 1"]
    assert visiting.step(3).inner_text() == "ld"
    visiting.page.get_by_role("button", name="Settings").click()
    visiting.page.get_by_label("Show Markdown").uncheck()
    assert visiting.page.locator(".answer .raw").inner_text().strip() == "".join(pieces).strip()


def test_a_conversation_is_kept_renamed_continued_and_deleted(visiting):
    """It is there after the page is loaded anew; a second question sends the first answer along."""
    page = visiting.page
    page.get_by_role("button", name="Rename").click()
    page.keyboard.type("My talk")
    page.keyboard.press("Enter")
    page.reload()
    page.get_by_role("button", name="My talk").click()
    text = "".join(token["text"] for token in visiting.stored()[0]["turns"][0]["branches"][0]["tokens"])
    with page.expect_request("**/v1/chat/completions") as sent:
        visiting.ask("and then")

    assert [each["content"] for each in sent.value.post_data_json["messages"]] == [
        "the hello world",
        text,
        "and then",
    ]
    assert [turn["question"] for turn in visiting.stored()[0]["turns"]] == ["the hello world", "and then"]
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    assert visiting.stored() == []


def test_the_last_question_can_be_edited_and_its_answer_retried(visiting):
    """Retry adds a branch; an edited question takes the place of the turn."""
    visiting.page.get_by_role("button", name="Retry").click()
    visiting.wait()
    assert len(visiting.stored()[0]["turns"][0]["branches"]) == 2
    visiting.page.get_by_role("button", name="Edit").click()
    visiting.page.get_by_label("Edit the question").fill("world")
    visiting.page.get_by_role("button", name="Ask again").click()
    visiting.wait()

    assert [turn["question"] for turn in visiting.stored()[0]["turns"]] == ["world"]


def test_settings_are_sent_with_the_next_question(visit, server):
    """Method, threshold, weight, limit and system text reach the server; empty ones are left to it."""
    visiting = visit(server)
    page = visiting.page
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Method", exact=True).select_option("nudging")
    page.get_by_label("Threshold").fill("0.4")
    page.get_by_label("Weight of the guide").fill("0.5")
    page.get_by_label("Most tokens").fill("5")
    page.get_by_label("System text").fill("hello")
    page.keyboard.press("Escape")
    with page.expect_request("**/v1/chat/completions") as sent:
        visiting.ask()
    body = sent.value.post_data_json

    assert body["model"] == "toy:nudging"
    assert (body["blend"]["threshold"], body["blend"]["alpha"], body["max_tokens"]) == (0.4, 0.5, 5)
    assert body["messages"][0] == {"role": "system", "content": "hello"}
    assert not {"temperature", "seed"} & set(body)


def test_an_answer_is_exported_as_its_record_and_as_a_page(visiting, tmp_path):
    """JSON is what `--json` writes, HTML what `--html` writes."""
    for name, file in (("Export as JSON", "answer.json"), ("Export as an HTML page", "answer.html")):
        with visiting.page.expect_download() as saved:
            visiting.page.get_by_role("button", name=name).click()
        saved.value.save_as(tmp_path / file)
    record = json.loads((tmp_path / "answer.json").read_text())

    assert record["messages"] == [{"role": "user", "content": "the hello world"}]
    assert len(record["steps"]) == 12
    page = (tmp_path / "answer.html").read_text()
    assert "the hello world" in page
    assert page.count('class="step ') >= 12


def test_errors_of_the_server_are_shown_as_they_are(visit, server):
    """A refused request shows the server's sentence; the page goes on working."""
    visiting = visit(server, expected=["400"])
    visiting.page.get_by_role("button", name="Settings").click()
    visiting.page.get_by_label("Threshold").fill("7")
    visiting.page.keyboard.press("Escape")
    visiting.ask()
    body = {"messages": [{"role": "user", "content": "x"}], "blend": {"threshold": 7}}
    message = server.post("/v1/chat/completions", body).error["message"]

    assert visiting.texts(".card .problem p") == [message]


def test_a_server_with_a_key_asks_for_it(visit, toys):
    """The page asks for the key, keeps it for the tab only, and sends it."""
    with running_server(toy_spec(*toys), key="open-sesame") as locked:
        visiting = visit(locked, expected=["401"])
        visiting.page.get_by_label("API key").fill("open-sesame")
        visiting.page.get_by_role("button", name="Use this key").click()
        visiting.page.locator("#model", has_text="toy").wait_for()
        visiting.ask()

        assert visiting.page.locator(".answer .step").count() > 0
        assert visiting.page.evaluate("JSON.stringify(localStorage).includes('open-sesame')") is False
