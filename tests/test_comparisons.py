"""The comparisons of `benchmarks/` run: every kind continues a text by as many tokens as were asked for."""

import importlib.util
import sys

import pytest

from tests.conftest import ROOT
from tests.toys import make_toy

KINDS = ["base, ours", "base, plain", "pair, ours", "pair, scores", "pair, logprobs", "pair, re-reading"]


@pytest.fixture(scope="module")
def comparisons():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("comparisons", ROOT / "benchmarks" / "comparisons.py")
    module = sys.modules["comparisons"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["comparisons"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_makes_the_tokens(comparisons, monkeypatch, tmp_path, kind):
    """Seconds, and as many tokens as wanted; completions with logprobs stop at the few that are measured."""
    monkeypatch.setattr(comparisons, "usable_threads", lambda: 1)
    paths = {role: make_toy(tmp_path / f"{role}.gguf", "plain") for role in ("base", "guide")}
    seconds, n = comparisons.KINDS[kind](paths, comparisons.Case("the hello world", 5, 10))

    assert list(comparisons.KINDS) == KINDS
    assert seconds > 0
    assert n == (comparisons.LOGPROBS_TOKENS if kind == "pair, logprobs" else 10)


def test_a_prompt_has_about_the_length_asked_for(comparisons, tmp_path):
    """Whole words of the text, as near to so many tokens as words allow."""
    base = make_toy(tmp_path / "base.gguf", "plain")
    short, long = (comparisons.prompt_of(n, base) for n in (20, 300))

    assert comparisons.TEXT.startswith(long)
    assert long.startswith(short)
    assert 10 <= len(short.encode()) <= 30
