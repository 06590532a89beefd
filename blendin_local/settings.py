"""Every default of the program, in frozen dataclasses that check themselves.

Here: what may be set, its default, its interval.
Not here: where a value came from (`cli/common/options.py`, `models/registry.py`).
Source of the method's defaults: Gan et al., BlendIn, ACL 2026, sections 4 and 5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral
from types import NoneType
from typing import Any, Literal

from blendin_local.errors import UsageError

KvType = Literal["f16", "q8_0", "q4_0", "f32"]
QUANTIZED: tuple[KvType, ...] = ("q8_0", "q4_0")
"""Formats that llama.cpp reads with flash attention only."""
UNQUANTIZED: tuple[KvType, ...] = ("f16", "f32")
FlashAttention = Literal["auto", "on", "off"]
Bridge = Literal["bytes", "prefix"]
CalibratedAlpha = Literal["calibrated"]
AUTO_ALPHA = "auto"
CALIBRATED_ALPHA: CalibratedAlpha = "calibrated"
BRIDGES: tuple[Bridge, ...] = ("bytes", "prefix")


def within(name: str, value: float, low: float, high: float) -> None:
    """Raise `UsageError` unless `low <= value <= high` (so `nan` is refused too)."""
    if not low <= value <= high:
        raise UsageError(f"{name} is {_shown(value)}, but must lie between {low:g} and {high:g}")


def count_within(name: str, value: int, low: float, high: float) -> None:
    """Raise `UsageError` unless `value` is a whole number between `low` and `high`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError(f"{name} is {value!r}", "give a whole number")
    within(name, value, low, high)


def _shown(value: float) -> str:
    return "a number of more than 30 digits" if isinstance(value, int) and abs(value) > 10**30 else f"{value}"


def require_kinds(settings: type, values: Mapping[str, Any]) -> None:
    """Raise TypeError unless values out of a file are of the kinds that the defaults of these settings have.

    Args:
        settings: A class of settings.
        values: Some of its fields.
    """
    usual = {field.name: field.default for field in fields(settings)}
    open_kinds: Any = {float: (int, float), NoneType: (int, float, str, NoneType)}
    for name, value in values.items():
        kind = type(usual[name])
        right = isinstance(value, open_kinds.get(kind, kind)) and isinstance(value, bool) == (kind is bool)
        if not right or (kind is tuple and not all(isinstance(text, str) for text in value)):
            raise TypeError(f"{name} is {value!r:.40}")


@dataclass(frozen=True)
class BlendSettings:
    """How two distributions become one choice.

    Attributes:
        method: Name of a rule in `core.methods`.
        threshold: The paper's tau, in [0, 1]; below it the base counts as uncertain.
        alpha: The guide's weight in [0, 1]; None for the paper's eq. 3 (`auto`); `calibrated` for eq. 3 with
            tempered confidences.
        agreement_bonus: The paper's lambda in eq. 3.
        top_k: How many candidates of each model enter the blend.
        cap: Method `capped`: the share of asked steps above which the guide is not asked, in [0, 1].
        filter_top_k: Method `agreement`: the guide's choice must be among so many of the base's candidates.
            The paper leaves the number open; its code has 5.
        bridge: How candidates of the two vocabularies meet (`core.bridge`).
        base_temperature: The base's temperature for `calibrated`, fitted by `blendin check`.
        guide_temperature: Likewise the guide's.
    """

    method: str = "blendin"
    threshold: float = 0.4
    alpha: float | CalibratedAlpha | None = None
    agreement_bonus: float = 0.1
    top_k: int = 100
    cap: float = 0.15
    filter_top_k: int = 5
    bridge: Bridge = "bytes"
    base_temperature: float | None = None
    guide_temperature: float | None = None

    def __post_init__(self) -> None:
        within("threshold", self.threshold, 0, 1)
        within("agreement bonus", self.agreement_bonus, 0, 1)
        if self.alpha == CALIBRATED_ALPHA:
            if self.base_temperature is None or self.guide_temperature is None:
                raise UsageError(
                    "alpha calibrated needs a fitted temperature for each model of the pair: "
                    "blendin check --write fits them and keeps them in models.toml",
                    "run it for this pair first, or choose --alpha auto",
                )
        elif self.alpha is not None:
            within("alpha", self.alpha, 0, 1)
        count_within("top-k-blend", self.top_k, 1, 100_000)
        within("cap", self.cap, 0, 1)
        count_within("filter top-k", self.filter_top_k, 1, 100_000)
        if self.bridge not in BRIDGES:
            raise UsageError(f"bridge is {self.bridge!r}", f"choose one of {', '.join(BRIDGES)}")
        for name, value in (("base", self.base_temperature), ("guide", self.guide_temperature)):
            if value is not None:
                within(f"{name} temperature", value, 0.05, 20)

    @property
    def temperatures(self) -> tuple[float, float]:
        """Those of base and guide; 1 where none was fitted."""
        return self.base_temperature or 1.0, self.guide_temperature or 1.0

    @property
    def alpha_name(self) -> float | str:
        """Alpha as users write it: a number, `auto` or `calibrated`."""
        return AUTO_ALPHA if self.alpha is None else self.alpha


@dataclass(frozen=True)
class SamplingSettings:
    """How one candidate is picked from the blended distribution.

    Attributes:
        temperature: 0 picks the largest; above 0 samples, however small: near 0 always one of the largest.
        top_k: Keep this many candidates (0: all).
        top_p: Keep the smallest head whose mass reaches this (1: all).
        min_p: Drop candidates below this share of the largest (0: none).
        seed: Seed of the generator; None draws one and records it.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        within("temp", self.temperature, 0, 100)
        count_within("top-k", self.top_k, 0, math.inf)
        within("top-p", self.top_p, 0, 1)
        within("min-p", self.min_p, 0, 1)
        if self.seed is not None:
            count_within("seed", self.seed, 0, 2**63 - 1)


@dataclass(frozen=True)
class AnswerSettings:
    """When an answer ends, and what is kept of each step.

    Attributes:
        max_tokens: Most steps of one answer.
        stop: Strings at which the answer is cut.
        loop_guard: Whether an answer that only repeats itself is ended.
        top_logprobs: Candidates of each distribution kept per step (0: none).
        evidence: Whether steps keep all that decided them, so that they can be decided again.
    """

    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    loop_guard: bool = True
    top_logprobs: int = 0
    evidence: bool = False

    def __post_init__(self) -> None:
        count_within("max-tokens", self.max_tokens, 1, math.inf)
        count_within("top-logprobs", self.top_logprobs, 0, 1000)
        if "" in self.stop:
            raise UsageError("a stop string is empty", "leave out --stop, or give it a text")


@dataclass(frozen=True)
class ModelSettings:
    """How llama.cpp runs one model.

    Attributes:
        ctx_size: Context in tokens; None takes `DEFAULT_CTX_SIZE`, or the training length if shorter.
        n_gpu_layers: Layers to offload; None offloads all that a GPU build can.
        threads: Threads for every evaluation; None uses the cores that other programs leave
            (`engine.thread_governor`), at most those this process may use.
        flash_attention: `auto` lets llama.cpp decide.
        kv_type: Number format of the KV cache.
        mmap: Whether weights are mapped from the file instead of read.
        swa_full: Whether sliding-window layers keep every position, so that any rewind is exact.
        reproducible: Whether the threads stay the same even when the machine is busy, so that answers do to
            the last bit.
    """

    ctx_size: int | None = None
    n_gpu_layers: int | None = None
    threads: int | None = None
    flash_attention: FlashAttention = "auto"
    kv_type: KvType = "f16"
    mmap: bool = True
    swa_full: bool = True
    reproducible: bool = False

    def __post_init__(self) -> None:
        if self.ctx_size is not None:
            count_within("ctx-size", self.ctx_size, 32, 2**31 - 1)
        if self.n_gpu_layers is not None:
            count_within("n-gpu-layers", self.n_gpu_layers, 0, 10_000)
        if self.threads is not None:
            count_within("threads", self.threads, 1, 1024)
        if self.kv_type in QUANTIZED and self.flash_attention == "off":
            raise UsageError(
                f"kv-type {self.kv_type} needs flash attention, and --flash-attn is off",
                f"leave out --flash-attn off, or choose --kv-type {' or '.join(UNQUANTIZED)}",
            )


EVALUATION_SEED = 609  # the paper's: draws subsets, the order of options, and bootstrap copies
DEFAULT_CTX_SIZE = 4096
EXCESSIVE_INTERVENTION_RATE = 0.20  # the paper's warning sign, section 3.2


@dataclass(frozen=True)
class CheckSettings:
    """What `blendin check` measures and where its verdicts begin. Only the first threshold is the paper's.

    Attributes:
        n_prompts: Prompts asked where nobody said how many.
        max_tokens: Most steps of each answer.
        excessive_rate: Intervention rate above which guidance tends to hurt.
        idle_changed_rate: Changed rate at or below which the base alone says the same.
        guide_asked_rate: Intervention rate from which, with `guide_wins`, the guide alone says the same.
        guide_wins: Share of differing asked places at which the guide's choice must win for that.
        template_p: Mean probability (geometric) of the fixed words after the question in the guide's own
            prompt; below it the template is hardly the one it was trained with.
        runaway_share: Share of answers that repeat themselves or run into a stop string, while none is ended
            by the guide, from which the guide is said never to end its answers.
        calibration_gap: Calibration error beyond chance, at uncertain places, that is worth a remark.
    """

    n_prompts: int = 20
    max_tokens: int = 64
    excessive_rate: float = EXCESSIVE_INTERVENTION_RATE
    idle_changed_rate: float = 0.02
    guide_asked_rate: float = 0.6
    guide_wins: float = 0.9
    template_p: float = 0.3
    runaway_share: float = 0.25
    calibration_gap: float = 0.05
