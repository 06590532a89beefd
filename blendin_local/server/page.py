"""The page at `/`: one static page of ours, its script and its style.

Here: their routes, with a content security policy that lets nothing else in.
Not here: what they do (`assets/page.html`, `assets/page.js`, `assets/page.css`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PAGES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def page_routes() -> list[Route]:
    """A route for the page and each of its files."""
    return [Route(path, _serve(*file)) for path, file in PAGES.items()]


def _serve(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def handler(_: Request) -> Response:
        data = resources.files("blendin_local.server").joinpath("assets", name).read_bytes()
        return Response(data, media_type=media_type, headers=HEADERS)

    return handler
