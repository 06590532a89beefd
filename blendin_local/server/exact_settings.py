"""All settings of an answer as JSON, exactly, for clients that are this program.

Here: `exact_to_json` and `exact_from_json`.
Not here: settings as people write them in requests (`jobs.request_values`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from blendin_local.settings.named_values import require_types

TABLES: Mapping[str, type] = {"blend": BlendSettings, "sampling": SamplingSettings, "answer": AnswerSettings}


def exact_to_json(
    blend: BlendSettings, sampling: SamplingSettings, answer: AnswerSettings
) -> dict[str, dict[str, Any]]:
    """Every field of the three, by the names that they have in Python."""
    return {"blend": asdict(blend), "sampling": asdict(sampling), "answer": asdict(answer)}


def exact_from_json(values: object) -> tuple[BlendSettings, SamplingSettings, AnswerSettings]:
    """The settings that `exact_to_json` wrote.

    Raises:
        UsageError: They are no such settings, or a value is not allowed.
    """
    try:
        blend, sampling, answer = (_read(table, values[part]) for part, table in TABLES.items())  # type: ignore[index]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            "the settings cannot be read", "use the same version of blendin on both sides"
        ) from error
    return blend, sampling, answer


def _read(table: type, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - one of the settings classes
    found = {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}
    require_types(table, found)
    return table(**found)
