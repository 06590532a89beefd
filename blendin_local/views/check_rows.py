"""The findings of a check as rows of words, shared by the terminal and the page.

Here: pure functions from `CheckReport` to pairs of name and value.
Not here: how they are set (`views.check`, `reports.check_page`).
"""

from __future__ import annotations

from collections.abc import Mapping

from blendin_local.core.methods import Role
from blendin_local.engine.memory import mebibytes
from blendin_local.jobs.check.answers import AnswerStatistics, Rate
from blendin_local.jobs.check.calibration import Calibration, RoleCalibration
from blendin_local.jobs.check.description import ModelDescription, PairDescription
from blendin_local.jobs.check.report import CheckReport

Rows = list[tuple[str, str]]
ENDED_BY: Mapping[str, str] = {
    "base_end": "the base's end",
    "guide_end": "the guide's end",
    "stop_string": "a stop string",
    "max_tokens": "the length limit",
    "context": "a full context",
    "repetition": "repeating itself",
    "user": "you",
}
CALIBRATION_HEAD = ("positions", "n", "right", "confidence", "ECE", "by chance", "ECE tempered")


def percent(share: float, digits: int = 1) -> str:
    """A share as people read it."""
    return f"{100 * share:.{digits}f} %"


def sentence(words: str) -> str:
    """Words as a sentence of their own."""
    return f"{words[:1].upper()}{words[1:]}."


def rate_words(rate: Rate) -> str:
    """A share with its 95 % interval."""
    return f"{percent(rate.value)} ({100 * rate.low:.1f} to {100 * rate.high:.1f})"


def title(check: CheckReport) -> str:
    """`demo: gemma.gguf guided by smollm.gguf`."""
    models = check.description.models
    files = f"{models['base'].file} guided by {models['guide'].file}"
    return f"{check.pair_name}: {files}" if check.pair_name else files


def model_rows(model: ModelDescription) -> Rows:
    """One model by its file."""
    size = f"{model.parameters / 1e6:.0f} M" if model.parameters < 1e9 else f"{model.parameters / 1e9:.1f} B"
    context = f"{model.ctx_size:,} used, {model.ctx_train:,} trained"
    return [
        ("file", model.file),
        ("model", f"{model.architecture}, {size} parameters, {model.quantization}"),
        ("vocabulary", f"{model.vocab_size:,} tokens ({model.vocab_kind})"),
        ("template", (model.template or "none") + (", knows thinking" if model.thinks else "")),
        ("begins with", "a BOS token" if model.adds_bos else "no BOS token"),
        ("ends with", " ".join(model.end_tokens) or "nothing: it has no end token"),
        ("context", context),
        ("rewind", model.rewind),
        ("memory", f"{mebibytes(model.memory_bytes)}, one conversation"),
    ]


def pair_rows(pair: PairDescription) -> Rows:
    """How the two files fit together."""
    o = pair.overlap
    return [
        ("shared byte strings", f"{o.shared:,}"),
        ("of the base's", f"{percent(o.share_of_base)}, by use {percent(o.base_use)}"),
        ("of the guide's", f"{percent(o.share_of_guide)}, by use {percent(o.guide_use)}"),
        (
            "speed class",
            f"{pair.speed_class}; an asked step reads {pair.asked_cost:.1f} times a plain one's weights",
        ),
    ]


def answer_rows(answers: AnswerStatistics) -> Rows:
    """How the pair answered."""
    ended = ", ".join(f"{ENDED_BY.get(reason, reason)} {n}" for reason, n in answers.ended_by.items())
    return [
        ("answers", f"{answers.prompts}, {answers.steps:,} steps" + _failed(answers)),
        ("asked", rate_words(answers.intervention_rate)),
        ("changed", rate_words(answers.changed_rate)),
        ("ended by", ended),
        ("alpha", "" if answers.alpha_mean is None else f"{answers.alpha_mean:.2f} on average"),
        ("speed", f"{answers.tokens_per_second:.1f} tokens/s, {answers.parallel} answers at once"),
    ]


def _failed(answers: AnswerStatistics) -> str:
    return f", {len(answers.failed)} without an answer" if answers.failed else ""


def rank_rows(answers: AnswerStatistics) -> Rows:
    """What the guide said where it was asked."""
    ranks = answers.ranks
    if ranks is None:
        return []
    tops = ", ".join(f"top {k}: {percent(share)}" for k, share in ranks.in_top.items())
    mean = "" if ranks.mean_rank is None else f"mean {ranks.mean_rank:.1f}, "
    middle = "beyond the list" if ranks.median_rank is None else f"{ranks.median_rank:g}"
    return [
        ("asked positions", f"{ranks.positions:,}"),
        ("guide's choice in the base's", tops),
        ("in its top-p 0.9", percent(ranks.in_nucleus)),
        ("its rank there", f"{mean}median {middle}"),
        ("both choose the same", percent(ranks.agree)),
        (
            "where they differ",
            f"guide's taken {percent(ranks.guide_wins)}, base's {percent(ranks.base_wins)}",
        ),
    ]


def calibration_rows(calibration: Mapping[Role, RoleCalibration]) -> list[tuple[str, ...]]:
    """A row for each model and kind of position, under `CALIBRATION_HEAD`."""
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
    """The fitted temperatures and what they gain."""
    return [
        (
            f"{role}'s temperature",
            f"{f.fit.temperature:.2f} ({f.fit.low:.2f} to {f.fit.high:.2f}), "
            f"{f.bits_per_byte:.2f} bits per byte",
        )
        for role, f in calibration.items()
    ]
