"""What one trial sets, and how it is called.

Here: `TrialSetting`.
Not here: which settings are tried (`search`), the trials (`trials`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from blendin_local.pair.setup import PairSetup
from blendin_local.settings import BlendSettings, ScaledFile


@dataclass(frozen=True)
class TrialSetting:
    """What a trial sets.

    Attributes:
        blend: Method, threshold and alpha.
        vector: The base's control vector; None for none.
    """

    blend: BlendSettings
    vector: ScaledFile | None = None

    @property
    def values(self) -> dict[str, Any]:
        """What differs between the trials of a search, by name."""
        return {"threshold": self.blend.threshold, "alpha": self.blend.alpha_name}

    @property
    def name(self) -> str:
        """`threshold 0.4, alpha auto`."""
        return ", ".join(f"{name} {_shown(value)}" for name, value in self.values.items())

    @property
    def file_name(self) -> str:
        """`threshold-0.4-alpha-auto`."""
        return "-".join(f"{name}-{_shown(value)}" for name, value in self.values.items())

    @property
    def cells(self) -> tuple[str, ...]:
        """The values as a table shows them."""
        return tuple(map(_shown, self.values.values()))

    def with_blend(self, **fields: Any) -> TrialSetting:  # noqa: ANN401 - a value per field
        """The same with other fields of `BlendSettings`."""
        return replace(self, blend=replace(self.blend, **fields))

    def applied_to(self, setup: PairSetup) -> PairSetup:
        """A pair's setup with the base's control vector of this trial."""
        vector = None if self.vector is None else str(self.vector)
        return replace(setup, base_settings=replace(setup.base_settings, control_vector=vector))


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
