"""What the page shows of several guides, on toy models."""

from __future__ import annotations

import pytest

from tests.http_server import running_server, toy_spec
from tests.toys import make_toy


@pytest.fixture(scope="module")
def guided_by_two(toys, tmp_path_factory):
    """A server whose pair has a second guide."""
    second = make_toy(tmp_path_factory.mktemp("second") / "2.gguf", "plain", seed=2)
    with running_server(toy_spec(*toys, guide2=str(second))) as running:
        yield running


def test_a_token_tells_what_each_guide_said_and_whose_word_it_is(visit, guided_by_two):
    """Each guide's likeliest candidate with its weight, as the server sends them."""
    visiting = visit(guided_by_two)
    visiting.ask()
    span = visiting.page.locator(".answer .changed:not(.blank), .answer .kept:not(.blank)").first
    n = int(span.get_attribute("data-step"))
    span.click()
    part = guided_by_two.chat(blend={"candidates": 8})["choices"][0]["blend"][n]
    why, several = (text.replace("\u00a0", " ") for text in visiting.texts("#popover header .quiet"))

    assert [guide["role"] for guide in part["guides"]] == ["guide", "guide2"]
    assert "the guides were asked" in why
    assert several.startswith(f"The word is {part['proposer']}'s: guide says ")
    for guide in part["guides"]:
        assert f"({guide['top']['p'] * 100:.1f} %, with a weight of {guide['alpha'] * 100:.1f} %)" in several
    assert "the guides were asked" in span.get_attribute("aria-label")


def test_with_one_guide_nothing_is_said_of_several(visit, server):
    """One sentence below the token, as before."""
    visiting = visit(server)
    visiting.ask()
    visiting.page.locator(".answer .changed:not(.blank), .answer .kept:not(.blank)").first.click()
    [why] = visiting.texts("#popover header .quiet")

    assert "the guide was asked" in why
