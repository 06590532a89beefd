"""The pair of a chat, opened anew: one at a time, and as before where it cannot be opened otherwise."""

from __future__ import annotations

import io
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from blendin_local.cli.chat.opening import OpenedPair
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
)
from blendin_local.cli.common.session import Session, pair_spec
from blendin_local.cli.common.status import StatusLine
from blendin_local.errors import LoadError, UsageError
from blendin_local.models.registry import load_registry
from blendin_local.pair.resolve import resolve_pair
from blendin_local.views.theme import make_console

REFUSED = 64  # a context size that cannot be opened


@pytest.fixture
def events(monkeypatch, tmp_path):
    """What is opened and closed, by context size, in order."""
    seen = []

    @contextmanager
    def open_session(options, *_, **__):
        registry = load_registry(None, env={}, cwd=tmp_path)
        resolved = resolve_pair(pair_spec(options, every_model=True), registry)
        size = resolved.setup.base_settings.ctx_size
        if size == REFUSED:
            raise LoadError("no room", "try less")
        seen.append(f"open {size}")
        yield Session(SimpleNamespace(setup=resolved.setup), resolved, resolved.answer)
        seen.append(f"close {size}")

    monkeypatch.setattr("blendin_local.cli.chat.opening.open_session", open_session)
    return seen


def opened():
    models = ModelOptions(base="b.gguf", guide="g.gguf")
    runtime = RuntimeOptions(ctx_size="128", guide_ctx_size="256")
    options = SessionOptions(models, runtime, BlendOptions(), SamplingOptions(), AnswerOptions())
    return OpenedPair(options, StatusLine(make_console(io.StringIO())))


def test_the_old_pair_is_closed_before_the_new_one_is_opened(events):
    """There may be no memory for two; the new value is that of both models."""
    with opened() as pair:
        assert pair.values()["ctx-size"] == "128 (guide 256)"
        pair.change("ctx-size", "512")
        assert pair.values()["ctx-size"] == "512"
    assert events == ["open 128", "close 128", "open 512", "close 512"]


def test_a_pair_that_cannot_be_opened_is_opened_as_before(events):
    """The error says why, and the next change begins from the old values."""
    with opened() as pair:
        with pytest.raises(LoadError, match="no room"):
            pair.change("ctx-size", str(REFUSED))
        assert pair.values()["ctx-size"] == "128 (guide 256)"
        assert events == ["open 128", "close 128", "open 128"]


def test_a_wrong_value_closes_nothing(events):
    """It is known before."""
    with opened() as pair:
        for name, text in (("ctx-size", "5"), ("ctx-size", "much"), ("base-template", "no"), ("mmap", "x")):
            with pytest.raises(UsageError):
                pair.change(name, text)
        assert events == ["open 128"]


def test_another_template_is_that_of_the_next_prompt(events):
    """The pair is opened with it."""
    with opened() as pair:
        assert pair.change("base-template", "transcript").setup.template.name == "transcript"
        assert pair.values()["base-template"] == "transcript"
        assert events == ["open 128", "close 128", "open 128"]
