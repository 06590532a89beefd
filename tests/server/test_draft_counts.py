"""Drafts in what a server reports."""

from __future__ import annotations


def test_drafts_are_counted_in_each_answer_and_in_all(start):
    """`timings` has the members that llama-server has, and only where there were drafts."""
    server = start()
    without = server.chat(max_tokens=40, blend={"draft": "off"})
    drafted = [server.chat(max_tokens=40, blend={"draft": "both"}) for _ in range(2)]

    assert not any("draft" in name for name in without["timings"])
    for reply in drafted:
        assert reply["timings"]["draft_n"] == reply["usage"]["blend"]["drafted"] > 0
        assert reply["timings"]["draft_n_accepted"] == reply["usage"]["blend"]["accepted"] > 0
    for kind in ("drafted", "accepted"):
        by_source = [
            n for name, n in server.metrics().items() if name.startswith(f"blendin_{kind}_tokens_total")
        ]
        assert sum(by_source) == sum(reply["usage"]["blend"][kind] for reply in drafted)
