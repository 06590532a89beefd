"""What makes a pair, before anything is loaded.

Here: `PairSetup`.
Not here: how names become files (`opening`), the loaded pair (`pair`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blendin_local.core.methods import Role
from blendin_local.core.prompts import PlainTemplate
from blendin_local.settings import ModelSettings, within

MAX_LANES = 256  # llama.cpp's own limit


@dataclass(frozen=True)
class PairSetup:
    """What makes a pair: files and how they are run and prompted.

    Attributes:
        base: The base's file, None if only the guide is used.
        guide: The guide's file, None if only the base is used.
        template: The plain-text template in which the base reads a conversation.
        base_settings: How llama.cpp runs the base.
        guide_settings: How it runs the guide.
        guide_template: A Jinja chat template instead of the one in the guide's file.
        thinking: Whether a guide that can think aloud may do so.
        exact_prompts: Prompts that stand for rendered ones, by role.
        n_lanes: How many answers `Pair.answer_all` may make at once; each has a whole context.
        anti: The file of the third model, which method `proxy` needs: the guide before it was tuned. It is
            run like the guide and reads the base's prompt, having been trained on no other.
    """

    base: Path | None
    guide: Path | None
    template: PlainTemplate
    base_settings: ModelSettings = field(default_factory=ModelSettings)
    guide_settings: ModelSettings = field(default_factory=ModelSettings)
    guide_template: str | None = None
    thinking: bool = False
    exact_prompts: Mapping[Role, str] = field(default_factory=dict)
    n_lanes: int = 1
    anti: Path | None = None

    def __post_init__(self) -> None:
        within("parallel", self.n_lanes, 1, MAX_LANES)

    def files(self) -> dict[Role, tuple[Path, ModelSettings]]:
        """The models to load."""
        all_roles: list[tuple[Role, Path | None, ModelSettings]] = [
            ("base", self.base, self.base_settings),
            ("guide", self.guide, self.guide_settings),
            ("anti", self.anti, self.guide_settings),
        ]
        return {role: (path, settings) for role, path, settings in all_roles if path is not None}
