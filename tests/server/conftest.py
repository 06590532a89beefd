"""Servers on toy models."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.http_server import running_server, toy_spec
from tests.toys import make_toy


@pytest.fixture(scope="session")
def toys(tmp_path_factory):
    """A base and a guide with random weights."""
    folder = tmp_path_factory.mktemp("server")
    return [make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def server(toys):
    """One place, for whoever does not disturb others."""
    with running_server(toy_spec(*toys)) as running:
        yield running


@pytest.fixture
def start(toys):
    """Starts a server for one test: `start(n_parallel, answer={...}, max_waiting=...)`."""
    with ExitStack() as stack:

        def start_one(n_parallel=1, *, n_ctx=1024, answer=None, system=None, **more):
            spec = toy_spec(*toys, n_ctx=n_ctx, answer=answer or {}, system=system)
            return stack.enter_context(running_server(spec, n_parallel, **more))

        yield start_one
