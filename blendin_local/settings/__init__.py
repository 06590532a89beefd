"""The settings of the program: one table that every surface is derived from.

Here: the public names of `settings.blend`, `settings.table`, `settings.model` and `settings.personal` (the
settings with their defaults) and of `settings.setting` (what a table states about one setting); intervals
(`settings.interval`).
"""

from __future__ import annotations

from blendin_local.settings.blend import (
    AUTO_ALPHA,
    BRIDGES,
    CALIBRATED_ALPHA,
    LATER_FIELDS,
    METHOD_NAMES,
    BlendSettings,
    Bridge,
    CalibratedAlpha,
    Combine,
    Gate,
)
from blendin_local.settings.check import CheckSettings
from blendin_local.settings.interval import require_between, require_count
from blendin_local.settings.layer_range import LayerRange, layer_range
from blendin_local.settings.model import (
    DEFAULT_CTX_SIZE,
    QUANTIZED,
    UNQUANTIZED,
    FlashAttention,
    KvType,
    ModelSettings,
)
from blendin_local.settings.named_values import require_types, to_settings
from blendin_local.settings.personal import HistorySettings, MarkChoice, TerminalSettings, ThemeChoice
from blendin_local.settings.scaled_file import ScaledFile, scaled_file
from blendin_local.settings.search import SearchSize
from blendin_local.settings.setting import (
    SURFACES,
    SWITCH_WORDS,
    Excluded,
    Setting,
    Surface,
    settings_of,
    settings_on,
)
from blendin_local.settings.table import (
    EVALUATION_SEED,
    EXCESSIVE_INTERVENTION_RATE,
    FORMS,
    USUAL_FORM,
    AnswerSettings,
    Draft,
    SamplingSettings,
    of_one_form,
)

__all__ = [
    "AUTO_ALPHA",
    "BRIDGES",
    "CALIBRATED_ALPHA",
    "DEFAULT_CTX_SIZE",
    "EVALUATION_SEED",
    "EXCESSIVE_INTERVENTION_RATE",
    "FORMS",
    "LATER_FIELDS",
    "METHOD_NAMES",
    "QUANTIZED",
    "SURFACES",
    "SWITCH_WORDS",
    "UNQUANTIZED",
    "USUAL_FORM",
    "AnswerSettings",
    "BlendSettings",
    "Bridge",
    "CalibratedAlpha",
    "CheckSettings",
    "Combine",
    "Draft",
    "Excluded",
    "FlashAttention",
    "Gate",
    "HistorySettings",
    "KvType",
    "LayerRange",
    "MarkChoice",
    "ModelSettings",
    "SamplingSettings",
    "ScaledFile",
    "SearchSize",
    "Setting",
    "Surface",
    "TerminalSettings",
    "ThemeChoice",
    "layer_range",
    "of_one_form",
    "require_between",
    "require_count",
    "require_types",
    "scaled_file",
    "settings_of",
    "settings_on",
    "to_settings",
]
