"""Files of the Hugging Face hub: which one is meant, how large it is, what the hub answers when it refuses.

Here: `Hub`, the hub's answers as values and its refusals as one-line errors.
Not here: the transfer of bytes (`models.hub_download`), choosing by name (`models.quantizations`).
Source: huggingface_hub, whose token, endpoint, proxy and offline settings hold here too. It is imported when
first needed. Its own downloads cannot be resumed by a later run (since 1.18), hence `models.hub_download`.
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
from blendin_local.models.schema import LARGEST_SIZE

METADATA_SECONDS = 20.0
REACH_SECONDS = 4.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
LARGEST_LISTING = 2**25  # bytes
LONGEST_WAIT = 86_400  # seconds that a hint repeats
ENCODINGS = ("", "identity")
PROXY = "a proxy with a login is set as HTTPS_PROXY=http://user:password@host:port"
LOGIN = "run: hf auth login (or set HF_TOKEN)"


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file as the hub describes it.

    Attributes:
        name: Its path in the repository.
        url: Where it is fetched.
        etag: Changes when the file changes; of large files the sha256.
        size: Its bytes.
    """

    name: str
    url: str
    etag: str
    size: int

    @property
    def sha256(self) -> str:
        """The checksum; empty for a small file, whose etag is another one."""
        return self.etag if _SHA256.fullmatch(self.etag) else ""

    @property
    def tag(self) -> str:
        """The etag as part of a file name, whatever it holds."""
        return self.sha256 or hashlib.sha256(self.etag.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Hub:
    """The hub that huggingface_hub is set up for.

    Args:
        env: Environment variables (those of the process by default).
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        values = os.environ if env is None else env
        self.endpoint = values.get("HF_ENDPOINT", "").rstrip("/") or None
        self._library = _import()
        self._utils = _import(".utils")
        self._errors = _import(".errors")

    def choose(self, source: HubSource) -> str:
        """The file that a source without a file name means."""
        return choose(self._listing(source), source.quant, f"the repository {source.repo}")

    def _listing(self, source: HubSource) -> list[str]:
        """The names of a repository's files that can be names here."""
        at = f"/revision/{quote(source.revision, safe='')}" if source.revision else ""
        endpoint = self.endpoint or _import(".constants").ENDPOINT
        url = f"{endpoint}/api/models/{source.repo}{at}"
        with self._reached(source), self._answer(source, "", url, {}) as response:
            data = read_bounded(response, LARGEST_LISTING)
        try:
            names = [sibling["rfilename"] for sibling in json.loads(data)["siblings"]]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise no_hub(source) from error
        return [name for name in names if isinstance(name, str) and is_relative_path(name)]

    def describe(self, source: HubSource, name: str) -> HubFile:
        """Size and etag of one file."""
        url = self._library.hf_hub_url(
            source.repo, name, revision=source.revision or None, endpoint=self.endpoint
        )

        with self.refusals(source, name), self._reached(source), self.understood(source):
            found = self._library.get_hf_file_metadata(url, timeout=METADATA_SECONDS, endpoint=self.endpoint)
        if not found.etag or not found.size or not 0 < found.size <= LARGEST_SIZE:
            raise FetchError(
                f"the hub does not tell size and etag of {source.repo}/{name}",
                "try again later; does a login page or a proxy answer in its place?",
            )
        return HubFile(name, url, found.etag, found.size)

    @contextmanager
    def stream(self, source: HubSource, file: HubFile, start: int) -> Iterator[Any]:
        """The answer to a request for a file's bytes from `start` on."""
        ranges = {"Range": f"bytes={start}-"} if start else {}
        with self._answer(source, file.name, file.url, ranges) as response:
            yield response

    @contextmanager
    def _answer(self, source: HubSource, name: str, url: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """An answer whose body is neither read nor packed; refusals are errors, whatever their bodies say."""
        sent = {**self._utils.build_hf_headers(), "Accept-Encoding": "identity", **headers}
        with ExitStack() as stack:
            with self.refusals(source, name), self.understood(source):
                session = self._library.get_session()
                request = session.stream("GET", url, headers=sent, timeout=METADATA_SECONDS)
                response = stack.enter_context(request)
                self._utils.hf_raise_for_status(without_body(response))
            require_data(source, response)
            yield response

    @contextmanager
    def understood(self, source: HubSource) -> Iterator[None]:
        """Turn what the HTTP library says of answers and addresses that make no sense into one line."""
        library = importlib.import_module(self.transport_error.__module__.partition(".")[0])
        try:
            yield
        except library.TooManyRedirects as error:
            raise FetchError(
                f"{source.repo}: the hub's redirects lead round in circles", "try again later"
            ) from error
        except library.ProxyError as error:
            raise FetchError(f"{source.repo}: the proxy refuses: {_line(error)}", PROXY) from error
        except self._errors.HfHubHTTPError:
            raise  # some of them are a ValueError too
        except (library.InvalidURL, library.DecodingError, ValueError, ImportError) as error:
            raise FetchError(  # an address that is none, an answer without sense, a proxy that needs more
                f"{source.repo}: the hub cannot be asked: {_line(error)}",
                "are HF_ENDPOINT and the proxy settings right?",
            ) from error

    @contextmanager
    def _reached(self, source: HubSource) -> Iterator[None]:
        """Turn a connection that fails into one line, where nobody tries again."""
        try:
            yield
        except (self.transport_error, ConnectionError) as error:
            if isinstance(error, (self._errors.HfHubHTTPError, self._errors.OfflineModeIsEnabled)):
                raise
            raise unreachable(source) from error

    @property
    def transport_error(self) -> type[Exception]:
        """What the hub's HTTP library raises where a connection fails."""
        return self._errors.HfHubHTTPError.__bases__[0]  # type: ignore[no-any-return]

    @contextmanager
    def refusals(self, source: HubSource, name: str) -> Iterator[None]:
        """Turn the library's refusals into errors of this program."""
        errors = self._errors
        try:
            yield
        except errors.OfflineModeIsEnabled as error:
            raise ModelNotFoundError(
                f"{source.repo} is not on this machine, and HF_HUB_OFFLINE forbids fetching it",
                "unset HF_HUB_OFFLINE and try again",
            ) from error
        except errors.GatedRepoError as error:
            raise FetchError(
                f"{source.repo} is gated: its owner lets only those in who accepted its terms",
                f"accept them on its page of the hub while logged in, then {LOGIN}",
            ) from error
        except errors.RevisionNotFoundError as error:
            raise FetchError(
                f"{source.repo} has no revision {source.revision or 'main'}", "check the part after @"
            ) from error
        except errors.EntryNotFoundError as error:
            raise FetchError(
                f"{source.repo} has no file {name or 'at all'}",
                f"blendin pull {source.repo} chooses one that is there",
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise FetchError(
                f"the hub has no repository {source.repo}, or it is private",
                f"check its name; if private, {LOGIN}",
            ) from error
        except errors.HfHubHTTPError as error:
            raise _refused(source, error) from error


def unreachable(source: HubSource) -> FetchError:
    """The error for a hub that does not answer."""
    return FetchError(
        f"the hub could not be reached for {source.repo}",
        "is there a network, or a proxy to set? what came so far is kept",
    )


def _refused(source: HubSource, error: Any) -> FetchError:  # noqa: ANN401 - the library has no types
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", 0)
    hints = {
        401: ("lets nobody in without a valid token", f"make one on its site, then {LOGIN}"),
        403: ("does not let you in", f"your token may lack the right to read it: {LOGIN}"),
        404: ("does not have it", "check the name"),
        407: ("is behind a proxy that asks for a login", PROXY),
        416: ("does not have the bytes asked for", "try again"),
        429: ("asks to wait: too many requests", _wait(response)),
    }
    server = ("has a fault of its own", "try again later; what came so far is kept")
    said, hint = hints.get(status, server if status >= 500 else ("refuses", "try again later"))
    return FetchError(f"{source.repo}: the hub {said} (HTTP {status})", hint)


def _wait(response: Any) -> str:  # noqa: ANN401 - the library has no types
    seconds = response.headers.get("Retry-After", "")
    if seconds.isascii() and seconds.isdigit() and len(seconds) < 9 and int(seconds) <= LONGEST_WAIT:
        return f"try again in {int(seconds)} seconds"
    return f"try again in some minutes; or {LOGIN}"


def no_hub(source: HubSource) -> FetchError:
    """The error for an answer that no hub gives: a web page, or something that means nothing."""
    return FetchError(
        f"what answers for {source.repo} is not the hub",
        "does the network show a login page (open a browser), or does a proxy answer in its place?",
    )


def require_data(source: HubSource, response: Any) -> None:  # noqa: ANN401 - the library has no types
    """Raise `FetchError` for a web page, and for a body that was packed although nobody asked for that."""
    if "html" in response.headers.get("Content-Type", "").lower():
        raise no_hub(source)
    if response.headers.get("Content-Encoding", "").strip().lower() not in ENCODINGS:
        raise FetchError(
            f"{source.repo}: the hub packs what it sends, which was not asked for",
            "does a proxy in between do that?",
        )


def without_body(response: Any) -> Any:  # noqa: ANN401 - the library has no types
    """An answer's status and headers alone: bodies of refusals have no bound, and any encoding."""
    kept = ("X-Error-Code", "X-Error-Message", "Retry-After")
    headers = {name: response.headers[name] for name in kept if name in response.headers}
    return type(response)(response.status_code, headers=headers, request=response.request)


def read_bounded(response: Any, most: int) -> bytes:  # noqa: ANN401 - the library has no types
    """A body of at most `most` bytes."""
    data = bytearray()
    for chunk in response.iter_raw():
        data += chunk
        if len(data) > most:
            raise FetchError(f"the hub sends more than {most:,} bytes as a list of files", "try again later")
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
    """The file in the cache that other programs share, where it is there; never the network."""
    found = _import().try_to_load_from_cache(source.repo, source.file, revision=source.revision or None)
    return found if isinstance(found, str) else None


def hub_answers(env: Mapping[str, str] | None = None) -> bool:
    """Whether the hub can be reached just now; any answer of it counts."""
    hub = Hub(env)
    endpoint = hub.endpoint or _import(".constants").ENDPOINT
    try:
        with hub.understood(HubSource(endpoint)):
            _import().get_session().head(endpoint, timeout=REACH_SECONDS)
    except (hub.transport_error, OSError, FetchError):
        return False
    return True
