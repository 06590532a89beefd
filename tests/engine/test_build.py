"""What a user is told about the installed llama.cpp."""

from __future__ import annotations

import pytest

from blendin_local.engine import build


@pytest.mark.parametrize(
    ("layers", "offload", "words"),
    [(99, False, "99 layers"), (1, False, "1 layer on"), (99, True, ""), (None, False, ""), (0, False, "")],
)
def test_layers_that_cannot_be_had_are_told(monkeypatch, layers, offload, words):
    """Only to a user who asked for some, and only in a build without a GPU."""
    monkeypatch.setattr(build, "can_offload", lambda: offload)
    notice = build.ignored_layers(layers)
    assert words in notice
    assert bool(notice) == bool(words)
