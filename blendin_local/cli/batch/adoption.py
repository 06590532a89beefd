"""What `blendin batch --adopt` would take over, in lines for a reader.

Here: `adoption_lines`.
Not here: finding it out (`jobs.batch.adoption`), asking (`cli.batch.run`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blendin_local.cli.common.progress import row_count
from blendin_local.jobs.batch.adoption import Adoption

MOST_IDS = 5
SETTINGS = ("threshold", "alpha", "top_k")  # of the blend, beside the method


def adoption_lines(found: Adoption) -> Iterator[str]:
    """What lies there, what this run would say of it, and where the two differ."""
    places = found.places
    yield f"{places.answers}: {row_count(found.answered)} answered, {found.failed} in {places.errors.name}"
    if found.torn:
        yield f"  a torn last line ({found.torn:,} bytes) will be cut off"
    yield f"  they will count as answers to {places.source}, by their ids; answers do not carry their prompts"
    for role, model in found.identity.models.items():
        yield f"  {role}: {model['file']} ({model['size']:,} bytes)"
    yield f"  settings of this run: {_settings(found.identity.settings)}"
    if found.silent:
        yield f"  no settings to compare in {row_count(found.silent)}"
    if not found.differing:
        yield "  no row carries other settings" if found.answered > found.silent else "  nothing was compared"
        return
    yield f"  other settings in {row_count(len(found.differing))}:"
    for key in list(found.differing)[:MOST_IDS]:
        yield f"    {key}: {found.differing[key]}"
    if len(found.differing) > MOST_IDS:
        yield f"    and {len(found.differing) - MOST_IDS} more"


def _settings(settings: Any) -> str:  # noqa: ANN401 - as a manifest holds them
    blend = settings.get("blend", {})
    words = [str(blend.get("method")), *(f"{name} {blend.get(name)}" for name in SETTINGS)]
    words.append(f"temperature {settings.get('sampling', {}).get('temperature')}")
    return ", ".join([*words, f"max tokens {settings.get('answer', {}).get('max_tokens')}"])
