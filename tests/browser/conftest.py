"""The page of a server in a real Chromium."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.http_server import running_server, toy_spec
from tests.page import open_browser, open_page
from tests.toys import make_toy

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def browser():
    """Chromium, as the system has it; closed before other tests, which may run event loops of their own."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with open_browser(CHROMIUM) as chromium:
        yield chromium


@pytest.fixture(scope="session")
def toys(tmp_path_factory):
    """A base and a guide with random weights."""
    folder = tmp_path_factory.mktemp("page")
    return [make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def server(toys):
    """A server with room for four answers at once."""
    with running_server(toy_spec(*toys), 4) as running:
        yield running


@pytest.fixture
def visit(browser):
    """Opens the page of a server: `visit(server, width=360)`; nothing may be on its console at the end."""
    with ExitStack() as stack:
        yield lambda server, **options: stack.enter_context(open_page(browser, server.url, **options))
