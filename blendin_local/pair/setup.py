"""What makes a pair, before anything is loaded.

Here: `PairSetup`.
Not here: how names become files (`pair.resolve`), the loaded pair (`pair.pair`).
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from blendin_local.core.prompts import BaseTemplate, OwnChatTemplate, PlainTemplate
from blendin_local.core.roles import FURTHER_GUIDES, ROLES, Role
from blendin_local.decode.request import GenerationSettings
from blendin_local.settings import ModelSettings, require_between

MAX_PARALLEL = 256  # llama.cpp's own limit


@dataclass(frozen=True)
class PairSetup:
    """What makes a pair: files and how they are run and prompted.

    Attributes:
        base: The base's file, None if only the guide is used.
        guide: The guide's file, None if only the base is used.
        template: The plain-text template in which the base reads a conversation, or its own chat template.
        base_settings: How llama.cpp runs the base.
        guide_settings: How it runs the guide.
        guide_template: A Jinja chat template instead of the one in the guide's file.
        thinking: Whether a guide with a thinking mode may use it.
        exact_prompts: Prompts used instead of rendered ones, by role.
        n_parallel: How many answers `Pair.answer_all` may make at once; each has a whole context.
        n_search: How many of these a search needs (`SearchSize.n_slots`); 0 if none is planned. Where memory
            is too small, the error then proposes a smaller search.
        date: The date for a guide's template that inserts one. A pair keeps the date it was opened with, so
            that the prompt of a conversation does not change at midnight.
        untuned: The file of the third model, which the methods `proxy` and `gated-proxy` need: the guide
            before it was tuned. It is run like the guide, without its control vector, and reads the base's
            prompt, having been trained on no other.
        guide2: The second guide's file, None if there is one guide; it is run like the guide, without its
            control vector.
        guide3: Likewise the third.
        further_templates: By role, a Jinja chat template instead of the one in a further guide's file.
        defaults: The settings of an answer that is asked for with none.
        system: Instructions before a question that comes with none.
    """

    base: Path | None
    guide: Path | None
    template: BaseTemplate
    base_settings: ModelSettings = field(default_factory=ModelSettings)
    guide_settings: ModelSettings = field(default_factory=ModelSettings)
    guide_template: str | None = None
    thinking: bool = False
    exact_prompts: Mapping[Role, str] = field(default_factory=dict)
    n_parallel: int = 1
    n_search: int = 0
    untuned: Path | None = None
    guide2: Path | None = None
    guide3: Path | None = None
    further_templates: Mapping[Role, str] = field(default_factory=dict)
    date: datetime.date = field(default_factory=datetime.date.today)
    defaults: GenerationSettings = field(default_factory=GenerationSettings)
    system: str = ""

    def __post_init__(self) -> None:
        require_between("parallel", self.n_parallel, 1, MAX_PARALLEL)

    @property
    def plain_template(self) -> PlainTemplate | None:
        """The base's plain-text template; None if it is prompted with its own chat template."""
        return self.template if isinstance(self.template, PlainTemplate) else None

    def jinja_template(self, role: Role) -> str | None:
        """The chat template given instead of the one in a model's file; None for that one."""
        if role == "guide":
            return self.guide_template
        if role in FURTHER_GUIDES:
            return self.further_templates.get(role)
        return self.template.source if isinstance(self.template, OwnChatTemplate) else None

    def with_files(self, paths: Mapping[Role, Path], n_parallel: int | None = None) -> PairSetup:
        """The same with these files, and as many answers at once as are named."""
        n_parallel = self.n_parallel if n_parallel is None else n_parallel
        files: dict[str, Any] = {role: paths.get(role) for role in ROLES}
        return replace(self, **files, n_parallel=n_parallel)

    def prompt_facts(self) -> dict[str, Any]:
        """What decides the prompts of a conversation, except the guide's template; exact ones as sha256."""
        return {
            "template": {**asdict(self.template), "stop": list(self.template.stop)},
            "exact_prompts": {
                role: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
                for role, text in sorted(self.exact_prompts.items())
            },
            "thinking": self.thinking,
            "date": self.date.isoformat(),
        }

    def files(self) -> dict[Role, tuple[Path, ModelSettings]]:
        """The models to load."""
        unsteered = replace(self.guide_settings, control_vector=None)
        all_roles: list[tuple[Role, Path | None, ModelSettings]] = [
            ("base", self.base, self.base_settings),
            ("guide", self.guide, self.guide_settings),
            *((role, getattr(self, role), unsteered) for role in (*FURTHER_GUIDES, "untuned")),
        ]
        return {role: (path, settings) for role, path, settings in all_roles if path is not None}
