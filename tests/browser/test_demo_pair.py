"""The page with real models: one conversation from the question to a branch."""

from __future__ import annotations

import pytest

from blendin_local.pair.resolve import PairSpec
from tests.http_server import running_server


@pytest.mark.model
def test_a_conversation_with_the_demo_pair(visit, demo_base_path, demo_guide_path):
    """An answer, its candidates, a branch from one of them, and four methods at once."""
    model = {"ctx_size": 2048, "threads": 1}
    spec = PairSpec(
        base=str(demo_base_path),
        guide=str(demo_guide_path),
        base_template="qa",
        base_settings=model,
        guide_settings=model,
        answer={"max_tokens": 24},
    )
    with running_server(spec, 4) as server:
        visiting = visit(server)
        visiting.page.set_default_timeout(120_000)
        visiting.ask("Explain in three sentences why the sky is blue.")
        answer = visiting.page.locator(".answer").inner_text()
        assert len(answer.split()) > 8
        visiting.page.locator(".answer .changed, .answer .kept").first.click()
        visiting.page.locator("#popover section[aria-label=Guide] button.row").first.click()
        visiting.wait()
        first, second = visiting.texts(".columns .answer")
        assert first == answer
        assert second != answer
        visiting.page.check("#compare")
        visiting.ask("Name two planets.")
        turn = visiting.stored()[0]["turns"][1]
        assert [len(branch["tokens"]) > 0 for branch in turn["branches"]] == [True] * 4
