"""The page at `/`: one static page of ours, its scripts and its style.

Here: their routes, with a content security policy that lets nothing else in.
Not here: what they do (the files in `assets/`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HTML = "text/html; charset=utf-8"
SCRIPT = "text/javascript; charset=utf-8"
SCRIPTS = ("page", "api", "markdown", "elements", "answer", "popover", "what_if", "conversations")
PAGES = {
    "/": ("page.html", HTML),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    **{f"/{name}.js": (f"{name}.js", SCRIPT) for name in SCRIPTS},
}
SAFE = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",
    **SAFE,
}
RECORD_HEADERS = {"content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'", **SAFE}
"""Of a page with an answer: it is a file to keep, and where a browser opens it here, nothing in it runs."""


def page_routes() -> list[Route]:
    """A route for the page and each of its files."""
    return [Route(path, _serve(*file)) for path, file in PAGES.items()]


def _serve(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def handler(_: Request) -> Response:
        data = resources.files("blendin_local.server").joinpath("assets", name).read_bytes()
        return Response(data, media_type=media_type, headers=HEADERS)

    return handler
