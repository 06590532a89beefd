"""What a server says of its pair to other commands of this program.

Here: `announcement_of`, by which they find it; the replies of `/v1/identity`, `/v1/pair` and `/v1/prompts`.
Not here: the file of an announcement (`server.announcement`), answers (`server.recorded`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blendin_local._version import __version__
from blendin_local.errors import UsageError
from blendin_local.jobs.request_values import RequestDefaults
from blendin_local.server.announcement import NONCE_LENGTHS, Announcement, file_state, proof
from blendin_local.server.exact_settings import exact_from_json, exact_to_json
from blendin_local.server.recorded import conversation_of, opening_json
from blendin_local.server.service import Service


def announcement_of(service: Service, url: str, *, needs_key: bool) -> Announcement | None:
    """What the server tells commands of this machine; None if none of them could open the same pair."""
    resolved = service.resolved
    if service.pair_defaults is None or resolved.registry.untrusted is not None:
        return None
    date = resolved.setup.date.isoformat() if service.pair.prompts_may_use_date() else ""
    states = [file_state(path) for path in _files(service)]
    return Announcement(
        url=url,
        secret=service.secret,
        version=__version__,
        needs_key=needs_key,
        options=service.options,
        default_pair=resolved.registry.defaults.pair,
        registry=tuple(str(path) for path in resolved.registry.files),
        files=tuple(state for state in states if state is not None),
        date="" if resolved.spec.date else date,
    )


def _files(service: Service) -> list[Path]:
    """The files of the models, and those that say how they are opened."""
    resolved = service.resolved
    entries = [resolved.registry.models.get(name) for name in resolved.references.values()]
    templates = [entry.chat_template for entry in entries if entry is not None and entry.chat_template]
    named = service.options.get("guide_chat_template_file")
    return [
        *(path for path, _ in service.pair.setup.files().values()),
        *resolved.registry.files,
        *templates,
        *([Path(named)] if named else []),
    ]


def identity_json(service: Service, nonce: str) -> dict[str, str]:
    """Proof that this is the server that announced itself.

    Raises:
        UsageError: The number is too short to be used only once.
    """
    if len(nonce) not in NONCE_LENGTHS or not nonce.isalnum() or not nonce.isascii():
        raise UsageError("nonce is no number of 32 to 64 hexadecimal digits")
    return {"proof": proof(service.secret, nonce)}


def pair_json(service: Service) -> dict[str, Any]:
    """The pair, its methods, and the settings with which a chat begins."""
    defaults = {"server": service.defaults, "pair": service.pair_defaults}
    return {
        "version": __version__,
        "name": service.name,
        "describe": service.pair.describe(),
        "methods": list(service.resolved.methods),
        "opening": opening_json(service),
        "defaults": {name: _defaults_json(each) for name, each in defaults.items() if each is not None},
    }


def _defaults_json(defaults: RequestDefaults) -> dict[str, Any]:
    settings = exact_to_json(defaults.blend, defaults.sampling, defaults.answer)
    return {"system": defaults.system, "settings": settings}


def prompts_json(service: Service, values: Mapping[str, Any]) -> dict[str, Any]:
    """The rendered prompt of each model, for an answer with the exact settings, if any; errors as of one."""
    answer = exact_from_json(values["exact"])[2] if "exact" in values else None
    return {"prompts": dict(service.pair.prompts(conversation_of(values), "", answer=answer))}
