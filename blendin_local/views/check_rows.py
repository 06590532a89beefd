"""The findings of a check as rows of text, shared by the terminal and the page.

Here: pure functions from `CheckReport` to rows of label and value.
Not here: layout (`views.check`, `reports.check_page`).
"""

from __future__ import annotations

from collections.abc import Mapping

from blendin_local.core.methods import Role
from blendin_local.core.percent import percent, percent_interval
from blendin_local.engine.memory import mebibytes
from blendin_local.jobs.check.answers import AnswerStatistics, Rate
from blendin_local.jobs.check.calibration import Calibration, RoleCalibration
from blendin_local.jobs.check.description import ModelDescription, PairDescription
from blendin_local.jobs.check.report import CheckReport
from blendin_local.jobs.check.verdicts import CheckVerdict
from blendin_local.views.answer import STOP_TEXTS, counted

Rows = list[tuple[str, str]]
STOP_LABELS: Mapping[str, str] = {reason: text.noun for reason, text in STOP_TEXTS.items()}
NOT_PROBED = "No verdict: whether guiding pays was not tried (--no-probe)."
CALIBRATION_HEAD = ("tokens", "n", "accuracy", "confidence", "ECE", "by chance", "ECE scaled")


def sentence(text: str) -> str:
    """Text as a sentence: a capital at the beginning, a full stop at the end."""
    return f"{text[:1].upper()}{text[1:]}."


def verdict_title(verdict: CheckVerdict) -> str:
    """`safety: pays`, `template suspect`."""
    return f"{verdict.purpose}: {verdict.name}" if verdict.purpose else verdict.name


def rate_text(rate: Rate) -> str:
    """A share with its 95 % interval."""
    return percent_interval(rate.value, rate.low, rate.high)


def title(check: CheckReport) -> str:
    """`demo: gemma.gguf guided by smollm.gguf`."""
    models = check.description.models
    files = f"{models['base'].file} guided by {models['guide'].file}"
    return f"{check.pair_name}: {files}" if check.pair_name else files


def model_rows(model: ModelDescription) -> Rows:
    """Rows about the file of a model."""
    size = f"{model.parameters / 1e6:.0f} M" if model.parameters < 1e9 else f"{model.parameters / 1e9:.1f} B"
    context = f"{model.ctx_size:,} used, {model.ctx_train:,} trained"
    return [
        ("file", model.file),
        ("model", f"{model.architecture}, {size} parameters, {model.quantization}"),
        ("vocabulary", f"{model.vocab_size:,} tokens ({model.vocab_kind})"),
        ("template", (model.template or "none") + (", supports thinking" if model.thinks else "")),
        ("BOS token", "added" if model.adds_bos else "not added"),
        ("end tokens", " ".join(model.end_tokens) or "none"),
        ("context", context),
        ("rewind", model.rewind),
        ("memory", f"{mebibytes(model.memory_bytes)}, for one conversation"),
    ]


def pair_rows(pair: PairDescription) -> Rows:
    """How well the two files fit together."""
    o = pair.overlap
    return [
        ("shared byte strings", f"{o.shared:,}"),
        ("of the base's", f"{percent(o.share_of_base)}, weighted by use {percent(o.base_use)}"),
        ("of the guide's", f"{percent(o.share_of_guide)}, weighted by use {percent(o.guide_use)}"),
        (
            "speed class",
            f"{pair.speed_class}; an asked step reads {pair.asked_cost:.1f} times a plain step's weights",
        ),
    ]


def answer_rows(answers: AnswerStatistics) -> Rows:
    """What the answers of the pair showed."""
    ended = ", ".join(f"{STOP_LABELS.get(reason, reason)} {n}" for reason, n in answers.ended_by.items())
    return [
        ("answers", f"{answers.prompts}, {counted(answers.steps, 'step')}" + _failed(answers)),
        ("asked", rate_text(answers.intervention_rate)),
        ("changed", rate_text(answers.changed_rate)),
        ("ended by", ended),
        ("alpha", "" if answers.alpha_mean is None else f"mean {answers.alpha_mean:.2f}"),
        ("speed", f"{answers.tokens_per_second:.1f} tokens/s, {answers.parallel} in parallel"),
    ]


def _failed(answers: AnswerStatistics) -> str:
    return f", {len(answers.failed)} without an answer" if answers.failed else ""


def rank_rows(answers: AnswerStatistics) -> Rows:
    """The rank of the guide's top candidate among the base's candidates at asked steps."""
    ranks = answers.ranks
    if ranks is None:
        return []
    tops = ", ".join(f"top {k}: {percent(share)}" for k, share in ranks.in_top.items())
    mean = "" if ranks.mean_rank is None else f"mean {ranks.mean_rank:.1f}, "
    middle = "beyond the list" if ranks.median_rank is None else f"{ranks.median_rank:g}"
    return [
        ("asked steps", f"{ranks.positions:,}"),
        ("guide's choice in base's", tops),
        ("in base's top-p 0.9", percent(ranks.in_nucleus)),
        ("rank in base's list", f"{mean}median {middle}"),
        ("same first choice", percent(ranks.agree)),
        (
            "where they differ",
            f"guide's choice taken {percent(ranks.guide_wins)}, base's {percent(ranks.base_wins)}",
        ),
    ]


def calibration_rows(calibration: Mapping[Role, RoleCalibration]) -> list[tuple[str, ...]]:
    """Rows under `CALIBRATION_HEAD`: each model over all tokens, and where the base is uncertain."""
    rows = []
    for role, found in calibration.items():
        kinds = (("all", found.everywhere), ("uncertain", found.uncertain))
        rows += [(f"{role}, {kind}", *_calibration(c)) for kind, c in kinds if c is not None]
    return rows


def _calibration(found: Calibration) -> tuple[str, ...]:
    return (
        f"{found.positions:,}",
        percent(found.accuracy),
        percent(found.confidence),
        f"{found.error:.3f}",
        f"{found.chance:.3f}",
        f"{found.error_tempered:.3f}",
    )


def temperature_rows(calibration: Mapping[Role, RoleCalibration]) -> Rows:
    """The fitted temperatures, and how well each model predicts the text."""
    return [
        (
            f"{role}'s temperature",
            f"{f.fit.temperature:.2f} ({f.fit.low:.2f} to {f.fit.high:.2f}), "
            f"{f.bits_per_byte:.2f} bits per byte",
        )
        for role, f in calibration.items()
    ]
