"""The comparisons of `benchmarks/` run: every kind continues a text by as many tokens as were asked for."""

import importlib
import sys

import pytest

from tests.paths import ROOT
from tests.toys import make_toy

KINDS = ["base, ours", "base, plain", "pair, ours", "pair, scores", "pair, logprobs", "pair, re-reading"]


@pytest.fixture
def comparisons(monkeypatch):
    """The script as a module; its neighbours are found as they are when it is run."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("comparisons")
    for name in ("comparisons", "comparison_kinds"):
        del sys.modules[name]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_makes_the_tokens(comparisons, monkeypatch, tmp_path, kind):
    """Seconds, and as many tokens as wanted; completions with logprobs stop at the few that are measured."""
    kinds = sys.modules["comparison_kinds"]
    monkeypatch.setattr(kinds, "usable_threads", lambda: 1)
    paths = {role: make_toy(tmp_path / f"{role}.gguf", "plain") for role in ("base", "guide")}
    seconds, n = kinds.KINDS[kind](paths, kinds.Case("the hello world", 5, 10))

    assert list(kinds.KINDS) == KINDS
    assert seconds > 0
    assert n == (kinds.LOGPROBS_TOKENS if kind == "pair, logprobs" else 10)


def test_a_prompt_has_about_the_length_asked_for(comparisons, tmp_path):
    """Whole words of the text, as near to so many tokens as words allow."""
    base = make_toy(tmp_path / "base.gguf", "plain")
    short, long = (comparisons.prompt_of(n, base) for n in (20, 300))

    assert comparisons.TEXT.startswith(long)
    assert long.startswith(short)
    assert 10 <= len(short.encode()) <= 30
