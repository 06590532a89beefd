"""The page of `blendin serve` in a browser; how tests look at it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOSTILE = "<img src=x onerror=\"document.title='caught'\"><script>document.title='caught'</script>"


@contextmanager
def open_browser(program: str) -> Iterator[Any]:
    """An installed Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """A person before the page.

    Attributes:
        page: playwright's page.
        console: What the browser complained of.
        requests: The addresses that were asked.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.console: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))

    def ask(self, question: str = "the hello world") -> None:
        """Ask and wait for the whole answer, or all of them."""
        self.page.fill("#question", question)
        self.page.keyboard.press("Enter")
        self.wait()

    def wait(self) -> None:
        """Wait until nothing is on its way."""
        self.page.wait_for_selector("#send[aria-label=Send]")

    def step(self, n: int, answer: int = 0) -> Any:
        """The token of this number."""
        return self.page.locator(".answer").nth(answer).locator(f'[data-step="{n}"]').first

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    def style(self, selector: str, name: str) -> str:
        """A computed style."""
        script = "([selector, name]) => getComputedStyle(document.querySelector(selector))[name]"
        return str(self.page.evaluate(script, [selector, name]))

    def stored(self) -> Any:
        """The conversations that the browser keeps."""
        return json.loads(self.page.evaluate("localStorage.getItem('blendin.conversations')") or "[]")


@contextmanager
def open_page(
    browser: Any,
    url: str,
    *,
    width: int = 1280,
    scheme: str = "light",
    expected: Sequence[str] = (),
    routes: Any = None,
) -> Iterator[Visit]:
    """The page at `url`; at the end its console must be empty, and no other host was asked.

    Args:
        browser: The browser.
        url: The server.
        width: Of the window, in pixels.
        scheme: `light` or `dark`, as the system prefers.
        expected: What may be on the console.
        routes: What is answered in the server's place: by path, a function that gets playwright's route.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(15_000)
    for path, answer in (routes or {}).items():
        page.route(f"**{path}", answer)
    visit = Visit(page)
    page.goto(url)
    try:
        yield visit
        complaints = [each for each in visit.console if not any(word in each for word in expected)]
        assert complaints == []
        others = [each for each in visit.requests if not each.startswith((url, "data:", "blob:"))]
        assert others == []
    finally:
        context.close()
