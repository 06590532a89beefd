"""The settings of the program: one table that every surface is derived from.

Here: the public names of `settings.table` (the settings with their defaults) and `settings.setting` (what the
table states about one setting).
"""

from __future__ import annotations

from blendin_local.settings.setting import (
    SURFACES,
    SWITCH_WORDS,
    Excluded,
    Setting,
    Surface,
    require_between,
    require_count,
    require_types,
    settings_of,
    settings_on,
    to_settings,
)
from blendin_local.settings.table import (
    AUTO_ALPHA,
    BRIDGES,
    CALIBRATED_ALPHA,
    DEFAULT_CTX_SIZE,
    EVALUATION_SEED,
    EXCESSIVE_INTERVENTION_RATE,
    QUANTIZED,
    UNQUANTIZED,
    AnswerSettings,
    BlendSettings,
    Bridge,
    CalibratedAlpha,
    CheckSettings,
    FlashAttention,
    HistorySettings,
    KvType,
    MarkChoice,
    ModelSettings,
    SamplingSettings,
    TerminalSettings,
    ThemeChoice,
)

__all__ = [
    "AUTO_ALPHA",
    "BRIDGES",
    "CALIBRATED_ALPHA",
    "DEFAULT_CTX_SIZE",
    "EVALUATION_SEED",
    "EXCESSIVE_INTERVENTION_RATE",
    "QUANTIZED",
    "SURFACES",
    "SWITCH_WORDS",
    "UNQUANTIZED",
    "AnswerSettings",
    "BlendSettings",
    "Bridge",
    "CalibratedAlpha",
    "CheckSettings",
    "Excluded",
    "FlashAttention",
    "HistorySettings",
    "KvType",
    "MarkChoice",
    "ModelSettings",
    "SamplingSettings",
    "Setting",
    "Surface",
    "TerminalSettings",
    "ThemeChoice",
    "require_between",
    "require_count",
    "require_types",
    "settings_of",
    "settings_on",
    "to_settings",
]
