"""Files of the Hugging Face hub: which one is meant, how large it is, what the hub answers when it refuses.

Here: `Hub`, the hub's answers as values and its refusals as one-line errors.
Not here: the transfer of bytes (`models.transfer`), choosing by name (`models.quantizations`).
Source: huggingface_hub, whose token, endpoint, proxy and offline settings hold here too. It is imported when
first needed. Its own downloads cannot be resumed by a later run (since 1.18), hence `models.transfer`.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from blendin_local.errors import FetchError, ModelNotFoundError
from blendin_local.models.entries import HubSource
from blendin_local.models.quantizations import choose

METADATA_SECONDS = 20.0
REACH_SECONDS = 4.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SAFE = re.compile(r"[^0-9A-Za-z._-]")
LOGIN = "run: hf auth login (or set HF_TOKEN)"

T = TypeVar("T")


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
        """The etag as part of a file name."""
        return _SAFE.sub("_", self.etag) or "no-etag"


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
        where = f"the repository {source.repo}"

        def listing() -> list[str]:
            api = self._library.HfApi(endpoint=self.endpoint)
            info = api.model_info(source.repo, revision=source.revision or None, timeout=METADATA_SECONDS)
            return [sibling.rfilename for sibling in info.siblings or []]

        return choose(self._guarded(source, listing), source.quant, where)

    def describe(self, source: HubSource, name: str) -> HubFile:
        """Size and etag of one file."""
        url = self._library.hf_hub_url(
            source.repo, name, revision=source.revision or None, endpoint=self.endpoint
        )

        def metadata() -> Any:  # noqa: ANN401 - the library has no types
            return self._library.get_hf_file_metadata(url, timeout=METADATA_SECONDS, endpoint=self.endpoint)

        found = self._guarded(source, metadata, name)
        if not found.etag or not found.size:
            raise FetchError(
                f"the hub does not tell size and etag of {source.repo}/{name}", "try again later"
            )
        return HubFile(name, url, found.etag, found.size)

    @contextmanager
    def stream(self, source: HubSource, file: HubFile, start: int) -> Iterator[Any]:
        """The answer to a request for a file's bytes from `start` on."""
        headers = self._utils.build_hf_headers()
        headers["Accept-Encoding"] = "identity"
        if start:
            headers["Range"] = f"bytes={start}-"
        with self.refusals(source, file.name):
            request: AbstractContextManager[Any] = self._library.get_session().stream(
                "GET", file.url, headers=headers, timeout=METADATA_SECONDS
            )
            with request as response:
                if response.status_code >= 400:
                    response.read()
                self._utils.hf_raise_for_status(response)
                yield response

    @property
    def transport_error(self) -> type[Exception]:
        """What the hub's HTTP library raises where a connection fails."""
        return self._errors.HfHubHTTPError.__bases__[0]  # type: ignore[no-any-return]

    def _guarded(self, source: HubSource, call: Callable[[], T], name: str = "") -> T:
        with self.refusals(source, name):
            try:
                return call()
            except (self.transport_error, ConnectionError) as error:
                if isinstance(error, (self._errors.HfHubHTTPError, self._errors.OfflineModeIsEnabled)):
                    raise
                raise unreachable(source) from error

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
                f"{source.repo} has no revision {source.revision}", "check the part after @"
            ) from error
        except errors.EntryNotFoundError as error:
            raise FetchError(
                f"{source.repo} has no file {name}", f"blendin pull {source.repo} chooses one that is there"
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
        416: ("does not have the bytes asked for", "try again"),
        429: ("asks to wait: too many requests", _wait(response)),
    }
    server = ("has a fault of its own", "try again later; what came so far is kept")
    said, hint = hints.get(status, server if status >= 500 else ("refuses", "try again later"))
    return FetchError(f"{source.repo}: the hub {said} (HTTP {status})", hint)


def _wait(response: Any) -> str:  # noqa: ANN401 - the library has no types
    seconds = response.headers.get("Retry-After", "")
    return (
        f"try again in {seconds} seconds" if seconds.isdigit() else f"try again in some minutes; or {LOGIN}"
    )


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
        _import("").get_session().head(endpoint, timeout=REACH_SECONDS)
    except (hub.transport_error, OSError):
        return False
    return True
