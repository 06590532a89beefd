"""What one trial sets, and how it is called: threshold and alpha, or scale and layers of a control vector.

Here: `TrialSetting`.
Not here: which settings are tried (`search`), the trials (`trials`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from blendin_local.core.methods import STEERED
from blendin_local.pair.setup import PairSetup
from blendin_local.paths import resolve_path
from blendin_local.settings import BlendSettings, ScaledFile

UNSTEERED = "the unsteered base"


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
    def of_steering(self) -> bool:
        """Whether it is one of a search for scale and layers: method `steer`, or `base` for no steering."""
        return self.blend.method in {STEERED, "base"}

    @property
    def is_unsteered(self) -> bool:
        """Whether it is the one that steering is compared with."""
        return self.blend.method == "base"

    @property
    def values(self) -> dict[str, Any]:
        """What differs between the trials of a search, by name; no steering has scale 0."""
        if not self.of_steering:
            return {"threshold": self.blend.threshold, "alpha": self.blend.alpha_name}
        if self.is_unsteered or self.vector is None:
            return {"scale": 0.0, "layers": None}
        return {"scale": self.vector.scale, "layers": str(self.vector.layers)}

    @property
    def name(self) -> str:
        """`threshold 0.4, alpha auto`, or `scale 0.5, layers 10-19`."""
        if self.is_unsteered:
            return UNSTEERED
        return ", ".join(f"{name} {_shown(value)}" for name, value in self.values.items())

    @property
    def file_name(self) -> str:
        """`threshold-0.4-alpha-auto`, or `scale-0.5-layers-10-19`."""
        if self.is_unsteered:
            return "unsteered"
        return "-".join(f"{name}-{_shown(value)}" for name, value in self.values.items())

    @property
    def cells(self) -> tuple[str, ...]:
        """The values as a table shows them."""
        return tuple(map(_shown, self.values.values()))

    @property
    def keys(self) -> dict[str, Any]:
        """What a pair of models.toml is given, so that it answers like the trial; nothing for no steering."""
        if not self.of_steering:
            return self.values
        if self.is_unsteered or self.vector is None:
            return {}
        there = resolve_path(self.vector.path, "the control vector")
        return {"method": STEERED, "base_control_vector": str(self.vector._replace(path=there))}

    def with_blend(self, **fields: Any) -> TrialSetting:  # noqa: ANN401 - a value per field
        """The same with other fields of `BlendSettings`."""
        return replace(self, blend=replace(self.blend, **fields))

    def applied_to(self, setup: PairSetup) -> PairSetup:
        """A pair's setup with the base's control vector of this trial."""
        vector = None if self.vector is None else str(self.vector)
        return replace(setup, base_settings=replace(setup.base_settings, control_vector=vector))


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
