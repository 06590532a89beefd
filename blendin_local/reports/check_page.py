"""A check as one self-contained HTML page with plots (`blendin check --html FILE`).

Here: `check_page`.
Not here: the texts (`views.check_rows`), the blocks of a page (`reports.page`), the plots
(`reports.plots.charts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from blendin_local.jobs.check.answers import AnswerFigures, Rate
from blendin_local.jobs.check.record import Check
from blendin_local.jobs.check.reference import Calibration
from blendin_local.jobs.check.verdicts import CheckVerdict
from blendin_local.reports.html import readable_json
from blendin_local.reports.page import (
    ParagraphKind,
    Section,
    blend_settings,
    details,
    page,
    paragraph,
    preformatted,
    table,
    verdict,
)
from blendin_local.reports.plots.charts import Bin, Estimate, bars, histogram, reliability
from blendin_local.views.check_rows import (
    CALIBRATION_HEAD,
    STOP_LABELS,
    answer_rows,
    calibration_rows,
    model_rows,
    pair_rows,
    rank_rows,
    sentence,
    temperature_rows,
    title,
)


def check_page(check: Check) -> str:
    """The whole page."""
    subtitle = " · ".join([title(check), *blend_settings(check.signature)])
    return page("Is this pair any good?", list(_sections(check)), subtitle=subtitle)


def _sections(check: Check) -> Iterator[Section]:
    yield Section("Verdict", blocks=list(_verdicts(check)))
    if check.answers is not None:
        yield _answers(check.answers)
    if check.calibration:
        yield _calibration(check)
    yield _files(check)
    if check.signature:
        text = preformatted(readable_json(check.signature))
        yield Section("", blocks=[details("Files, versions and settings", [text])])


def _verdicts(check: Check) -> Iterator[Markup]:
    if not check.complete:
        yield paragraph("The check was stopped, so there is no verdict.", "warning")
    elif not check.verdicts:
        yield paragraph("Only the files were checked, and no problem was found.")
    yield from (_verdict(found) for found in check.verdicts)
    yield from (paragraph(sentence(remark), "notice") for remark in check.remarks)


def _verdict(found: CheckVerdict) -> Markup:
    kind: ParagraphKind = "good" if found.name == "healthy" else "warning"
    reasons = [sentence(reason) for reason in found.reasons]
    return verdict(kind, found.name.capitalize(), reasons, sentence(found.advice) if found.advice else "")


def _pairs(rows: Sequence[tuple[str, str]]) -> Markup:
    return table(("", ""), [row for row in rows if row[1]])


def _answers(answers: AnswerFigures) -> Section:
    pictures = [
        bars(
            "How often the guide was asked and changed the outcome",
            ["asked", "changed"],
            {"steps": [_estimate(answers.intervention_rate), _estimate(answers.changed_rate)]},
            percent=True,
            label="share of steps, with 95 % intervals",
        ),
        bars(
            "What ended the answers",
            [STOP_LABELS.get(reason, reason) for reason in answers.ended_by],
            {"answers": [Estimate(n) for n in answers.ended_by.values()]},
            label="answers",
        ),
    ]
    if answers.alpha_mean is not None:
        edges = [i / len(answers.alpha_counts) for i in range(len(answers.alpha_counts) + 1)]
        labels = "alpha: the guide's weight", "asked steps"
        pictures.append(
            histogram("Alpha at asked steps", edges, {"alpha": answers.alpha_counts}, labels=labels)
        )
    if answers.ranks is not None:
        shares = {f"top {k}": share for k, share in answers.ranks.in_top.items()}
        shares["top-p 0.9"] = answers.ranks.in_nucleus
        heights = {"asked steps": [Estimate(share) for share in shares.values()]}
        pictures.append(
            bars(
                "Is the guide's choice among the base's?",
                list(shares),
                heights,
                percent=True,
                top=1.0,
                label="share of asked steps",
            )
        )
    return Section(
        "Answers",
        "Asked: the base was uncertain, so the guide was consulted. Changed: the outcome was not the base's "
        "own first choice.",
        [_pairs([*answer_rows(answers), *rank_rows(answers)]), *pictures],
    )


def _estimate(rate: Rate) -> Estimate:
    return Estimate(rate.value, rate.low, rate.high)


def _calibration(check: Check) -> Section:
    found = check.calibration
    everywhere: dict[str, list[Bin]] = {role: _bins(c.everywhere) for role, c in found.items()}
    uncertain: dict[str, list[Bin]] = {
        role: _bins(c.uncertain) for role, c in found.items() if c.uncertain is not None
    }
    pictures = [reliability("All tokens", everywhere)]
    if uncertain:
        pictures.append(reliability("Where the base is uncertain", uncertain))
    return Section(
        "Calibration",
        "Both models predicted each token of a text that neither of them wrote. On the diagonal, accuracy "
        "equals confidence; below it, a model is overconfident. Where the base is uncertain, alpha relies on "
        "the confidence of both.",
        [
            table(CALIBRATION_HEAD, calibration_rows(found)),
            _pairs(temperature_rows(found)),
            *pictures,
        ],
    )


def _bins(found: Calibration) -> list[Bin]:
    return [Bin(b.confidence, b.accuracy, b.count) for b in found.bins]


def _files(check: Check) -> Section:
    sheets = {role: dict(model_rows(sheet)) for role, sheet in check.sheet.models.items()}
    names = list(next(iter(sheets.values())))
    rows = [(name, *(rows[name] for rows in sheets.values())) for name in names]
    return Section("Files", blocks=[table(("", *sheets), rows), _pairs(pair_rows(check.sheet))])
