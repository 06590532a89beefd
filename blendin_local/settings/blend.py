"""The settings of the methods: how the distributions of two models become one choice.

Here: `BlendSettings`, and the names of what it chooses among.
Not here: the other settings of an answer (`settings.table`), how a field is declared and read
(`settings.setting`), what a method does (`core.methods`).
Sources of the defaults: Gan et al., BlendIn, Findings of ACL 2026, sections 4 and 5; of the margin, Hammal et
al., ACL 2026. Those that are no paper's are given in docs/methods.md.
"""
# ruff: noqa: RUF009 - `setting` declares a field, as `dataclasses.field` does

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from blendin_local.errors import UsageError
from blendin_local.settings.setting import Excluded, check_settings, setting

Bridge = Literal["bytes", "prefix"]
Gate = Literal["top1", "margin", "entropy"]
Combine = Literal["mixture", "product"]
CalibratedAlpha = Literal["calibrated"]
AUTO_ALPHA = "auto"
CALIBRATED_ALPHA: CalibratedAlpha = "calibrated"
BRIDGES: tuple[Bridge, ...] = get_args(Bridge)
METHOD_NAMES = (
    "blendin",
    "nudging",
    "nudging-words",
    "capped",
    "agreement",
    "competition",
    "agreement+competition",
    "bet",
    "bet-blend",
    "kad",
    "ensemble",
    "proxy",
    "gated-proxy",
    "steer",
    "base",
    "guide",
)
"""The methods that `core.methods` has, most useful first; here, because help must not wait for numpy."""
LATER_FIELDS = ("gate", "always_first", "combine", "dial", "margin", "proxy_weight", "guide_weight")
"""Fields that records have only where they are not the default: those of earlier versions lack them."""

_NAMED_BY_METHODS = Excluded("an evaluation names its methods with --methods")
_FITTED = Excluded("blendin check fits it and writes it into models.toml")


@dataclass(frozen=True)
class BlendSettings:
    """How two distributions become one choice."""

    method: str = setting(
        "blendin",
        f"Decoding method: {', '.join(METHOD_NAMES[:-1])} or {METHOD_NAMES[-1]}.",
        known_names=METHOD_NAMES,
        sweep=_NAMED_BY_METHODS,
    )
    threshold: float = setting(
        0.4,
        "Ask the guide where the base's top-1 probability, or what --gate names, is below this.",
        low=0,
        high=1,
        env="BLENDIN_THRESHOLD",
    )
    """The paper's tau."""
    alpha: float | CalibratedAlpha | None = setting(
        None,
        "The guide's weight in the blend: a number, auto (the paper's eq. 3), or calibrated (eq. 3 with the "
        "temperatures that blendin check fitted).",
        low=0,
        high=1,
        words={AUTO_ALPHA: None, CALIBRATED_ALPHA: CALIBRATED_ALPHA},
        env="BLENDIN_ALPHA",
    )
    agreement_bonus: float = setting(
        0.1,
        "The paper's lambda: with --alpha auto, how much the base's probability of the guide's choice adds "
        "to the guide's weight.",
        low=0,
        high=1,
    )
    top_k: int = setting(
        100, "Candidates of each model that enter the blend.", low=1, high=100_000, name="top-k-blend"
    )
    cap: float = setting(
        0.15, "Method capped: do not ask the guide above this share of the steps.", low=0, high=1
    )
    filter_top_k: int = setting(
        5,
        "Method agreement: the guide's choice must be among this many of the base's top candidates.",
        low=1,
        high=100_000,
    )
    """The paper leaves the number open; its code has 5."""
    bridge: Bridge = setting("bytes", "How candidates of the two vocabularies are matched.")
    base_temperature: float | None = setting(
        None,
        "The base's temperature for --alpha calibrated.",
        low=0.05,
        high=20,
        of_pair=True,
        cli=_FITTED,
        chat=_FITTED,
        row=_FITTED,
        sweep=_FITTED,
    )
    guide_temperature: float | None = setting(
        None,
        "The guide's temperature for --alpha calibrated.",
        low=0.05,
        high=20,
        of_pair=True,
        cli=_FITTED,
        chat=_FITTED,
        row=_FITTED,
        sweep=_FITTED,
    )
    gate: Gate = setting(
        "top1",
        "What the threshold is compared with: the base's top-1 probability, the margin between its two "
        "likeliest candidates, or exp(-H) of its entropy H.",
    )
    always_first: int = setting(
        0, "Ask the guide in this many first steps, however sure the base is.", low=0, high=100_000
    )
    combine: Combine = setting(
        "mixture", "How two distributions are blended: their weighted mean, or their weighted product."
    )
    dial: float = setting(
        1.0,
        "Alignment dial: 0 is the base, 1 the method's own result, above 1 goes further away from the base.",
        low=0,
        high=2,
    )
    margin: float = setting(
        0.2,
        "Methods bet and bet-blend: the base's candidate is rejected if the guide's top-1 probability "
        "exceeds its probability by more than this.",
        low=0,
        high=1,
    )
    proxy_weight: float = setting(
        1.0,
        "Methods proxy and gated-proxy: the weight of what tuning changed in the guide.",
        low=0,
        high=5,
    )
    guide_weight: tuple[float, ...] = setting(
        (),
        "With several guides: the weight of each, in their order. Only the ratios matter.",
        low=0.01,
        high=100,
        words={"equal": ()},
        of_pair=True,
        sweep=Excluded("a sweep tries one value at a time"),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.alpha == CALIBRATED_ALPHA and None in {self.base_temperature, self.guide_temperature}:
            raise UsageError(
                "alpha calibrated needs a fitted temperature for each model of the pair: "
                "blendin check --write fits them and keeps them in models.toml",
                "run it for this pair first, or choose --alpha auto",
            )

    @property
    def temperatures(self) -> tuple[float, float]:
        """Those of base and guide; 1 where none was fitted."""
        return self.base_temperature or 1.0, self.guide_temperature or 1.0

    @property
    def alpha_name(self) -> float | str:
        """Alpha as users write it: a number, `auto` or `calibrated`."""
        return AUTO_ALPHA if self.alpha is None else self.alpha

    def to_json(self) -> dict[str, Any]:
        """As records hold it; later settings only where they are not the default, as in earlier records."""
        values = {**asdict(self), "alpha": self.alpha_name}
        if self.guide_weight:
            values["guide_weight"] = list(self.guide_weight)
        usual = {field.name: field.default for field in fields(self) if field.name in LATER_FIELDS}
        return {name: value for name, value in values.items() if usual.get(name, ...) != value}
