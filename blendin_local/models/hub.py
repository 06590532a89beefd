"""Requests to the Hugging Face Hub: listing a repository, file metadata, streaming a file.

Here: `Hub`, which returns the Hub's responses as values and raises its errors as one-line errors of ours.
Not here: resuming and checking a download (`models.hub_download`), choosing a file (`models.quantizations`).
Source: huggingface_hub; its token, endpoint, proxy and offline settings apply. It is imported on first use,
and only its public names are used. Its own downloads cannot be resumed by a later run (since 1.18), so
`models.hub_download` does them.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from blendin_local.errors import FetchError, ModelNotFoundError
from blendin_local.models.entries import HubSource
from blendin_local.models.grammar import is_relative_path
from blendin_local.models.quantizations import choose
from blendin_local.models.schema import MAX_FILE_BYTES

REQUEST_TIMEOUT_S = 20.0
PING_TIMEOUT_S = 4.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_LISTING_BYTES = 2**25
MAX_LICENSE_LENGTH = 100
MAX_RETRY_AFTER_S = 86_400  # a longer Retry-After is not repeated in the hint
UNENCODED = ("", "identity")
PROXY_HINT = "set the proxy and its login with HTTPS_PROXY=http://user:password@host:port"
LOGIN_HINT = "run: hf auth login (or set HF_TOKEN)"


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file, as described by the Hub.

    Attributes:
        name: Its path in the repository.
        url: Its download address.
        etag: Changes when the file changes; for large files it is the sha256.
        size: Its size in bytes.
    """

    name: str
    url: str
    etag: str
    size: int

    @property
    def sha256(self) -> str:
        """The checksum; empty for a small file, whose etag is not a sha256."""
        return self.etag if _SHA256.fullmatch(self.etag) else ""

    @property
    def tag(self) -> str:
        """The etag, or a digest of it, safe as part of a file name."""
        return self.sha256 or hashlib.sha256(self.etag.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Hub:
    """A client of the Hub that huggingface_hub is configured for.

    Args:
        env: Environment variables (default: those of the process).
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        values = os.environ if env is None else env
        self.endpoint = values.get("HF_ENDPOINT", "").rstrip("/") or None
        self._library = _import()
        self._utils = _import(".utils")
        self._errors = _import(".errors")

    def choose(self, source: HubSource) -> str:
        """Choose the file of a source that gives a quantization but no file name."""
        return choose(self._listing(source), source.quant, f"the repository {source.repo}")

    def license(self, source: HubSource) -> str:
        """The licence that a repository's description names; empty if it names none."""
        facts = self._facts(source)
        card, tags = facts.get("cardData"), facts.get("tags")
        named = [card.get(key) for key in ("license_name", "license")] if isinstance(card, dict) else []
        tags = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
        named += [tag.removeprefix("license:") for tag in tags if tag.startswith("license:")]
        return next((text for text in named if isinstance(text, str) and _is_license(text)), "")

    def _listing(self, source: HubSource) -> list[str]:
        """List the files of a repository, without names that are not safe relative paths."""
        try:
            names = [sibling["rfilename"] for sibling in self._facts(source)["siblings"]]
        except (TypeError, KeyError) as error:
            raise not_the_hub(source) from error
        return [name for name in names if isinstance(name, str) and is_relative_path(name)]

    def _facts(self, source: HubSource) -> dict[str, Any]:
        """What the Hub knows of a repository."""
        revision = f"/revision/{quote(source.revision, safe='')}" if source.revision else ""
        endpoint = self.endpoint or _import(".constants").ENDPOINT
        url = f"{endpoint}/api/models/{source.repo}{revision}"
        with self._connection_errors(source), self._request(source, "", url, {}) as response:
            data = read_bounded(response, MAX_LISTING_BYTES)
        try:
            facts = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise not_the_hub(source) from error
        if not isinstance(facts, dict):
            raise not_the_hub(source)
        return facts

    def describe(self, source: HubSource, name: str) -> HubFile:
        """Fetch the size and etag of one file."""
        url = self._library.hf_hub_url(
            source.repo, name, revision=source.revision or None, endpoint=self.endpoint
        )

        with self.hub_errors(source, name), self._connection_errors(source), self.http_errors(source):
            found = self._library.get_hf_file_metadata(url, timeout=REQUEST_TIMEOUT_S, endpoint=self.endpoint)
        if not found.etag or not found.size or not 0 < found.size <= MAX_FILE_BYTES:
            raise FetchError(
                f"the Hub does not report the size and etag of {source.repo}/{name}",
                "try again later, and check for a login page or a proxy on the network",
            )
        return HubFile(name, url, found.etag, found.size)

    @contextmanager
    def stream(self, source: HubSource, file: HubFile, start: int) -> Iterator[Any]:
        """Request the bytes of a file from `start` on; yields the response."""
        ranges = {"Range": f"bytes={start}-"} if start else {}
        with self._request(source, file.name, file.url, ranges) as response:
            yield response

    @contextmanager
    def _request(self, source: HubSource, name: str, url: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """Send a GET request; yields the response with its body unread, and raises for an error status."""
        all_headers = {**self._utils.build_hf_headers(), "Accept-Encoding": "identity", **headers}
        with ExitStack() as stack:
            with self.hub_errors(source, name), self.http_errors(source):
                session = self._library.get_session()
                request = session.stream("GET", url, headers=all_headers, timeout=REQUEST_TIMEOUT_S)
                response = stack.enter_context(request)
                self._utils.hf_raise_for_status(without_body(response))
            require_data(source, response)
            yield response

    @contextmanager
    def http_errors(self, source: HubSource) -> Iterator[None]:
        """Turn the HTTP library's errors about redirects, proxies, addresses and encodings into ours."""
        library = self._utils.httpx
        try:
            yield
        except library.TooManyRedirects as error:
            raise FetchError(f"{source.repo}: the Hub redirects in a loop", "try again later") from error
        except library.ProxyError as error:
            raise FetchError(
                f"{source.repo}: the proxy refused the request: {_line(error)}", PROXY_HINT
            ) from error
        except self._errors.HfHubHTTPError:
            raise  # some of these are ValueErrors too
        except (library.InvalidURL, library.DecodingError, ValueError, ImportError) as error:
            raise FetchError(  # an invalid address or response, a proxy that needs another package
                f"{source.repo}: the request to the Hub failed: {_line(error)}",
                "check HF_ENDPOINT and the proxy settings",
            ) from error

    @contextmanager
    def _connection_errors(self, source: HubSource) -> Iterator[None]:
        """Turn a failed connection into one of our errors, where there is no retry."""
        try:
            yield
        except (self.transport_error, ConnectionError) as error:
            if isinstance(error, (self._errors.HfHubHTTPError, self._errors.OfflineModeIsEnabled)):
                raise
            raise unreachable(source) from error

    @property
    def transport_error(self) -> type[Exception]:
        """The base class of the HTTP library's errors, for failed connections among others."""
        return self._utils.httpx.HTTPError  # type: ignore[no-any-return]

    @contextmanager
    def hub_errors(self, source: HubSource, name: str) -> Iterator[None]:
        """Turn the errors of huggingface_hub into ours."""
        errors = self._errors
        try:
            yield
        except errors.OfflineModeIsEnabled as error:
            raise ModelNotFoundError(
                f"{source.repo} is not on this machine, and HF_HUB_OFFLINE forbids downloading it",
                "unset HF_HUB_OFFLINE and try again",
            ) from error
        except errors.GatedRepoError as error:
            raise FetchError(
                f"{source.repo} is gated: you must accept its terms first",
                f"accept them on the repository's page while logged in, then {LOGIN_HINT}",
            ) from error
        except errors.RevisionNotFoundError as error:
            raise FetchError(
                f"{source.repo} has no revision {source.revision or 'main'}", "check the revision after @"
            ) from error
        except errors.EntryNotFoundError as error:
            raise FetchError(
                f"{source.repo} has no {f'file {name}' if name else 'files'}",
                f"blendin pull {source.repo} picks a file that exists",
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise FetchError(
                f"the Hub has no repository {source.repo}, or it is private",
                f"check the name; if it is private, {LOGIN_HINT}",
            ) from error
        except errors.HfHubHTTPError as error:
            raise _status_error(source, error) from error


def _is_license(text: str) -> bool:
    return 0 < len(text) <= MAX_LICENSE_LENGTH and text.isprintable()


def unreachable(source: HubSource) -> FetchError:
    """Return the error for a Hub that cannot be reached."""
    return FetchError(
        f"the Hub could not be reached for {source.repo}",
        "check the network and the proxy settings",
    )


def _status_error(source: HubSource, error: Any) -> FetchError:  # noqa: ANN401 - the library has no types
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", 0)
    hints = {
        401: ("the Hub requires a valid token", f"create one on its site, then {LOGIN_HINT}"),
        403: ("access denied", f"your token may lack read access: {LOGIN_HINT}"),
        404: ("not found on the Hub", "check the name"),
        407: ("the proxy requires a login", PROXY_HINT),
        416: ("the Hub does not have the requested bytes", "try again"),
        429: ("too many requests to the Hub", _retry_hint(response)),
    }
    server = ("server error of the Hub", "try again later")
    reason, hint = hints.get(status, server if status >= 500 else ("the Hub refused", "try again later"))
    return FetchError(f"{source.repo}: {reason} (HTTP {status})", hint)


def _retry_hint(response: Any) -> str:  # noqa: ANN401 - the library has no types
    seconds = response.headers.get("Retry-After", "")
    if seconds.isascii() and seconds.isdigit() and len(seconds) < 9 and int(seconds) <= MAX_RETRY_AFTER_S:
        return f"try again in {int(seconds)} seconds"
    return f"try again in a few minutes, or {LOGIN_HINT}"


def not_the_hub(source: HubSource) -> FetchError:
    """Return the error for a response that does not come from a Hub, such as a login page."""
    return FetchError(
        f"the response for {source.repo} is not from the Hub",
        "open a browser: the network may show a login page, or a proxy may answer instead",
    )


def require_data(source: HubSource, response: Any) -> None:  # noqa: ANN401 - the library has no types
    """Raise `FetchError` for a web page, and for a compressed body, which was not requested."""
    if "html" in response.headers.get("Content-Type", "").lower():
        raise not_the_hub(source)
    if response.headers.get("Content-Encoding", "").strip().lower() not in UNENCODED:
        raise FetchError(
            f"{source.repo}: the Hub sent a compressed response, which was not requested",
            "check whether a proxy compresses it",
        )


def without_body(response: Any) -> Any:  # noqa: ANN401 - the library has no types
    """Copy a response without its body: that of an error is unbounded and in any encoding."""
    kept = ("X-Error-Code", "X-Error-Message", "Retry-After")
    headers = {name: response.headers[name] for name in kept if name in response.headers}
    return type(response)(response.status_code, headers=headers, request=response.request)


def read_bounded(response: Any, max_bytes: int) -> bytes:  # noqa: ANN401 - the library has no types
    """Read a body of at most `max_bytes` bytes; `FetchError` for a longer one."""
    data = bytearray()
    for chunk in response.iter_raw():
        data += chunk
        if len(data) > max_bytes:
            raise FetchError(f"the Hub's file listing is longer than {max_bytes:,} bytes", "try again later")
    return bytes(data)


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return "".join(char if char.isprintable() else "?" for char in text)


def _import(module: str = "") -> Any:  # noqa: ANN401 - the library has no types
    try:
        return importlib.import_module(f"huggingface_hub{module}")
    except ImportError as error:
        raise FetchError(
            f"huggingface_hub cannot be imported: {error}", "install it with: pip install huggingface_hub"
        ) from error


def cached_file(source: HubSource) -> str | None:
    """Look up a file in the shared Hugging Face cache; never uses the network."""
    found = _import().try_to_load_from_cache(source.repo, source.file, revision=source.revision or None)
    return found if isinstance(found, str) else None


def is_hub_reachable(env: Mapping[str, str] | None = None) -> bool:
    """Whether the Hub can be reached now; any response counts."""
    hub = Hub(env)
    endpoint = hub.endpoint or _import(".constants").ENDPOINT
    try:
        with hub.http_errors(HubSource(endpoint)):
            _import().get_session().head(endpoint, timeout=PING_TIMEOUT_S)
    except (hub.transport_error, OSError, FetchError):
        return False
    return True
