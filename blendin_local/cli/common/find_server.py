"""Which server answers: the one that is named, or one of this machine that has the same pair open.

Here: `choose_server`; `note_use` and `note_refusal`, which tell the user.
Not here: the file by which a server is found (`server.announcement`), the connection (`server.client`).
Nothing but the names of a directory is read where no server runs, and nothing needs numpy or llama.cpp.
"""

from __future__ import annotations

import datetime
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from blendin_local._version import __version__
from blendin_local.cli.common.options import RemoteOptions, SessionOptions
from blendin_local.cli.common.printing import print_note
from blendin_local.core.roles import ROLES
from blendin_local.errors import BlendinError

if TYPE_CHECKING:
    from rich.console import Console

    from blendin_local.server.announcement import Announcement
    from blendin_local.server.client import Server

KEY_VARIABLE = "BLENDIN_API_KEY"
OFF_VARIABLE = "BLENDIN_NO_SERVER"  # a server that is named answers all the same
NO_MATTER = frozenset({"models_file"})  # what it leads to is compared instead
NAMES = frozenset({"pair", *ROLES})
LOOPBACK = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True)
class ChosenServer:
    """The server that answers.

    Attributes:
        server: Where it is, with its key.
        found: Whether it was found rather than named; then it has the pair that the options name.
    """

    server: Server
    found: bool


def choose_server(remote: RemoteOptions, options: SessionOptions) -> ChosenServer | None:
    """The server that answers; None if the models are to be loaded here.

    Args:
        remote: The options about a server.
        options: Those that say which models are meant.
    """
    if remote.no_server:
        return None
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if remote.server:
        from blendin_local.server.client import Server  # noqa: PLC0415 - not for models that are loaded here

        return ChosenServer(Server(remote.server, key), found=False)
    if os.environ.get(OFF_VARIABLE) or options.sampling.settings().get("search"):
        return None  # a server makes no search
    from blendin_local.server.announcement import running  # noqa: PLC0415 - not for a server that is named

    for announcement in running():
        if has_same_pair(announcement, options) and (key or not announcement.needs_key):
            server = proven(announcement, key)
            if server is not None:
                return ChosenServer(server, found=True)
    return None


def note_use(chosen: ChosenServer, err: Console) -> None:
    """Say which server is used, and how to do without it."""
    print_note(err, f"using the server at {chosen.server.url} (--no-server loads the models here)")


def note_refusal(chosen: ChosenServer, error: BlendinError, err: Console) -> None:
    """Say why a server that was found is not used."""
    print_note(err, f"loading the models here: {error.message} ({chosen.server.url})")


def has_same_pair(announcement: Announcement, options: SessionOptions) -> bool:
    """Whether a server says that it has what these options would load, from the same files."""
    from blendin_local.cli.common.load_options import load_options  # noqa: PLC0415 - only where a server runs
    from blendin_local.models.registry import registry_files  # noqa: PLC0415
    from blendin_local.server.announcement import file_state  # noqa: PLC0415

    if announcement.version != __version__:
        return False
    wanted = _named(load_options(options), announcement.default_pair)
    if wanted != _named(announcement.options, announcement.default_pair):
        return False
    files = registry_files(options.models.models_file)
    if tuple(str(file.path) for file in files) != announcement.registry:
        return False
    if announcement.date not in {"", datetime.datetime.now().astimezone().date().isoformat()}:
        return False
    return all(file_state(Path(state[0])) == state for state in announcement.files)


def _named(options: Any, default_pair: str) -> dict[str, Any]:  # noqa: ANN401 - a value per option
    """The options that matter, with the default pair where none is named."""
    named = {name: value for name, value in options.items() if name not in NO_MATTER and value is not False}
    if default_pair and not NAMES & set(named):
        named["pair"] = default_pair
    return named


def proven(announcement: Announcement, key: str) -> Server | None:
    """The server that announced itself, if it is the one that answers there; it gets the key only then."""
    from blendin_local.server.announcement import proof  # noqa: PLC0415 - only where a server runs
    from blendin_local.server.client import Server  # noqa: PLC0415

    if urlsplit(announcement.url).hostname not in LOOPBACK:
        return None
    nonce = secrets.token_hex(16)
    try:
        answer = Server(announcement.url).get(f"/v1/identity?nonce={nonce}")
    except BlendinError:
        return None
    expected = proof(announcement.secret, nonce)
    if not secrets.compare_digest(str(answer.get("proof")).encode(), expected.encode()):
        return None
    return Server(announcement.url, key if announcement.needs_key else "")
