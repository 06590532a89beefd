"""The licence of a file that can be downloaded, in words for the user.

Here: `license_text`.
Not here: where it is shown (`cli.common`), licences in the headers of files (`engine.gguf.header`).
"""

from __future__ import annotations

from blendin_local.errors import BlendinError
from blendin_local.models.entries import HubSource
from blendin_local.models.hub import Hub
from blendin_local.models.references import Resolved


def license_text(item: Resolved) -> str:
    """A sentence about the licence of a download: according to models.toml, else according to the Hub.

    Asking the Hub is one request; where it cannot be answered, that is said instead of raised.
    """
    entry, name = item.entry, item.reference
    if entry is not None and (entry.license or entry.notice):
        return f"{name}: {'. '.join(text for text in (entry.license, entry.notice) if text)}"
    if not isinstance(item.source, HubSource):
        return f"{name}: models.toml names no licence"
    try:
        found = Hub().license(item.source)
    except BlendinError:
        return f"{name}: its licence could not be looked up on the Hub"
    return f"{name}: {found}, according to the Hub" if found else f"{name}: the Hub names no licence"
