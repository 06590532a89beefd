"""The table of settings: the one place with every default of the program.

Here: frozen dataclasses whose fields describe a setting completely: name, type, default, interval, help,
flags, environment variable, and its name on each surface. A new setting is one new field.
Not here: settings about a person, not about an answer (`settings.personal`), how a field is declared and read
(`settings.setting`), where a value came from (`pair.resolve`).
Source of the method's defaults: Gan et al., BlendIn, ACL 2026, sections 4 and 5.

A setting has the same name everywhere, unless its field gives another: `--agreement-bonus`,
`agreement_bonus` in models.toml and in rows, `/set agreement-bonus`, `--sweep agreement-bonus=0,0.1`. Where
a surface does not offer a setting, `Excluded` gives the reason.
"""
# ruff: noqa: RUF009 - `setting` declares a field, as `dataclasses.field` does

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, get_args

from blendin_local.errors import UsageError
from blendin_local.settings.scaled_file import scaled_file
from blendin_local.settings.setting import Excluded, check_settings, setting

KvType = Literal["f16", "q8_0", "q4_0", "f32"]
QUANTIZED: tuple[KvType, ...] = ("q8_0", "q4_0")
"""Formats that llama.cpp reads with flash attention only."""
UNQUANTIZED: tuple[KvType, ...] = ("f16", "f32")
FlashAttention = Literal["auto", "on", "off"]
Draft = Literal["auto", "off", "guide", "ngram", "both"]
Bridge = Literal["bytes", "prefix"]
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
    "ensemble",
    "proxy",
    "base",
    "guide",
)
"""The methods that `core.methods` has, most useful first; here, because help must not wait for numpy."""

_NAMED_BY_METHODS = Excluded("an evaluation names its methods with --methods")
_FITTED = Excluded("blendin check fits it and writes it into models.toml")
_GREEDY = Excluded("an evaluation answers greedily, so that it can be repeated")
_NO_PENALTY = Excluded("an evaluation compares methods without penalties on repetition")
_TASK_LIMITS = Excluded("the benchmark sets the limits of its answers")
_SAME_ANSWER = Excluded("drafts change how fast an answer comes, not which")
_LOADED = Excluded("it is fixed while a model is loaded")
_BY_OUTPUT = Excluded("it follows from the output that is asked for, such as --trace")


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
        "Ask the guide where the base's top-1 probability is below this.",
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


PENALTY_FIELDS = ("repeat_", "presence_", "frequency_", "dry_")
_penalty = partial(setting, sweep=_NO_PENALTY)


@dataclass(frozen=True)
class SamplingSettings:
    """How one candidate is picked from the blended distribution."""

    temperature: float = setting(
        0.0,
        "Sampling temperature; 0 always picks the most probable candidate.",
        low=0,
        high=100,
        name="temp",
        flags=("--temperature",),
        row="temperature",
        sweep=_GREEDY,
    )
    top_k: int = setting(
        0,
        "Sample from this many of the most probable candidates; 0 for all.",
        low=0,
        high=math.inf,
        sweep=_GREEDY,
    )
    top_p: float = setting(
        1.0,
        "Sample from the smallest set of candidates whose probabilities add up to this; 1 for all.",
        low=0,
        high=1,
        sweep=_GREEDY,
    )
    min_p: float = setting(
        0.0,
        "Drop candidates less probable than this share of the most probable one.",
        low=0,
        high=1,
        sweep=_GREEDY,
    )
    seed: int | None = setting(
        None,
        "Seed of the random numbers; a random one is recorded with the answer.",
        low=0,
        high=2**63 - 1,
        words={"random": None, "-1": None},
        sweep=_GREEDY,
    )
    repeat_penalty: float = _penalty(
        1.0,
        "Divide the logit of what was said lately by this, or multiply if negative; 1 is off.",
        low=1,
        high=100,
    )
    repeat_last_n: int = _penalty(
        64, "Last tokens that the repeat, presence and frequency penalties look at; -1 for all.", low=-1
    )
    presence_penalty: float = _penalty(
        0.0, "Subtract this from the logit of what was said lately.", low=0, high=1000
    )
    frequency_penalty: float = _penalty(
        0.0, "Subtract this from the logit for every time that it was said lately.", low=0, high=1000
    )
    dry_multiplier: float = _penalty(
        0.0, "Strength of DRY, which penalizes what would continue a repetition; 0 is off.", low=0, high=1000
    )
    dry_base: float = _penalty(1.75, "DRY: growth of the penalty with each repeated token.", low=1, high=100)
    dry_allowed_length: int = _penalty(2, "DRY: repetitions up to this many tokens are free.", low=1)
    dry_penalty_last_n: int = _penalty(
        -1, "DRY: how many of the last tokens it looks at; -1 for all.", low=-1
    )
    dry_sequence_breaker: tuple[str, ...] = _penalty(
        ("\n", ":", '"', "*"),
        "DRY: a repetition does not reach back over this text (\\n: a line break); can be repeated.",
        words={"none": ()},
    )

    def __post_init__(self) -> None:
        check_settings(self)
        typed = self.dry_sequence_breaker  # with escapes, as on llama.cpp's command line
        breakers = tuple(text.replace(r"\n", "\n").replace(r"\t", "\t") for text in typed)
        object.__setattr__(self, "dry_sequence_breaker", breakers)
        if "" in breakers:
            raise UsageError("a sequence breaker of DRY is empty", "give it a text, or none")

    @property
    def penalizes_tokens(self) -> bool:
        """Whether the repeat, presence or frequency penalty is on."""
        strengths = self.repeat_penalty - 1, self.presence_penalty, self.frequency_penalty
        return self.repeat_last_n != 0 and any(strengths)

    @property
    def penalizes_sequences(self) -> bool:
        """Whether DRY is on."""
        return self.dry_multiplier > 0 and self.dry_penalty_last_n != 0

    @property
    def penalizes(self) -> bool:
        """Whether any penalty on repetition is on."""
        return self.penalizes_tokens or self.penalizes_sequences

    @property
    def longest_window(self) -> int:
        """How many of the last tokens the penalties that are on look at; -1 for all."""
        tokens = self.repeat_last_n if self.penalizes_tokens else 0
        sequences = self.dry_penalty_last_n if self.penalizes_sequences else 0
        return -1 if -1 in {tokens, sequences} else max(tokens, sequences)

    def to_json(self) -> dict[str, Any]:
        """As records hold it; the penalties only where one is on, as in records of earlier versions."""
        values = {**asdict(self), "dry_sequence_breaker": list(self.dry_sequence_breaker)}
        return {k: v for k, v in values.items() if self.penalizes or not k.startswith(PENALTY_FIELDS)}


@dataclass(frozen=True)
class AnswerSettings:
    """When an answer ends, and what is kept of each step."""

    max_tokens: int | None = setting(
        512,
        "Largest number of tokens in an answer; -1 or unlimited ends it only where the context is full.",
        low=1,
        high=math.inf,
        words={"unlimited": None, "-1": None},
        flags=("--n-predict", "--predict", "-n"),
        sweep=_TASK_LIMITS,
    )
    stop: tuple[str, ...] = setting(
        (),
        "End the answer before this text; can be repeated.",
        words={"none": ()},
        sweep=_TASK_LIMITS,
    )
    loop_guard: bool = setting(True, "End an answer that only repeats itself.", sweep=_TASK_LIMITS)
    top_logprobs: int = setting(
        0,
        "Candidates of each distribution to keep with every step; chat and --html keep 10 if not given.",
        low=0,
        high=1000,
        sweep=_TASK_LIMITS,
    )
    draft: Draft = setting(
        "auto",
        "Guess several tokens ahead and check them at once: the guide guesses, or text that repeats itself "
        "(ngram), or both; auto guesses only where that saves time.",
        env="BLENDIN_DRAFT",
        sweep=_SAME_ANSWER,
    )
    evidence: bool = setting(
        False,
        "Keep everything that decided a step, so that the answer can be replayed.",
        cli=_BY_OUTPUT,
        toml=_BY_OUTPUT,
        chat=_BY_OUTPUT,
        save=_BY_OUTPUT,
        row=_BY_OUTPUT,
        sweep=_BY_OUTPUT,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if "" in self.stop:
            raise UsageError("a stop string is empty", "leave out --stop, or give it a text")


_runtime = partial(setting, save=_LOADED, row=_LOADED, sweep=_LOADED)  # a chat opens its pair anew


@dataclass(frozen=True)
class ModelSettings:
    """How llama.cpp runs one model."""

    ctx_size: int | None = _runtime(
        None,
        "Context size in tokens; auto is 4096, or the model's training length if that is shorter.",
        low=32,
        high=2**31 - 1,
        words={"auto": None},
        flags=("-c",),
        env="BLENDIN_CTX_SIZE",
        role_flags=True,
    )
    n_gpu_layers: int | None = _runtime(
        None,
        "Layers to offload to the GPU; auto and all offload every layer if llama.cpp was built for a GPU.",
        low=0,
        high=10_000,
        words={"auto": None, "all": None},
        flags=("--gpu-layers", "-ngl"),
        env="BLENDIN_N_GPU_LAYERS",
        role_flags=True,
    )
    ubatch_size: int | None = _runtime(
        None,
        "Tokens of a prompt evaluated at once; auto is 512 if layers are on a GPU, else 128.",
        low=32,
        high=2048,
        words={"auto": None},
        flags=("-ub",),
    )
    threads: int | None = _runtime(
        None,
        "CPU threads; auto uses the cores that other programs leave free.",
        low=1,
        high=1024,
        words={"auto": None},
        flags=("-t",),
        role_flags=True,
    )
    flash_attention: FlashAttention = _runtime(
        "auto", "Flash attention; auto lets llama.cpp decide.", name="flash-attn", flags=("-fa",)
    )
    kv_type: KvType = _runtime("f16", "Number format of the KV cache.")
    mmap: bool = _runtime(True, "Map the weights from the file instead of reading them.")
    swa_full: bool = _runtime(
        True,
        "For models with sliding-window attention: keep every position in the KV cache. Without it the cache "
        "is smaller, but a chat re-reads more.",
    )
    reproducible: bool = _runtime(
        False,
        "Keep the number of threads fixed and make no drafts: answers are the same on a busy machine.",
    )
    control_vector: str | None = _runtime(
        None,
        "Add a control vector to the model's layers: a GGUF file of llama.cpp or repeng, and a factor.",
        words={"none": None},
        role_flags=True,
        of_pair=True,
        metavar="FILE[:SCALE]",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.control_vector is not None:
            scaled_file(self.control_vector)
        if self.kv_type in QUANTIZED and self.flash_attention == "off":
            raise UsageError(
                f"kv-type {self.kv_type} needs flash attention, and --flash-attn is off",
                f"leave out --flash-attn off, or choose --kv-type {' or '.join(UNQUANTIZED)}",
            )


EVALUATION_SEED = 609  # the paper's: draws subsets, the order of options, and bootstrap copies
DEFAULT_CTX_SIZE = 4096
EXCESSIVE_INTERVENTION_RATE = 0.20  # the paper's warning sign, section 3.2
