"""A check as one self-contained HTML page with plots (`blendin check --html FILE`).

Here: `check_page`.
Not here: the texts (`views.check_rows`), the blocks of a page (`reports.page`), the plots
(`reports.plots.charts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from blendin_local.jobs.check.answers import AnswerStatistics, Rate
from blendin_local.jobs.check.calibration import Calibration
from blendin_local.jobs.check.report import CheckReport
from blendin_local.jobs.check.verdicts import CheckVerdict, VerdictName
from blendin_local.jobs.probe.asking import ProbeReport
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
    NOT_PROBED,
    STOP_LABELS,
    answer_rows,
    calibration_rows,
    model_rows,
    pair_rows,
    rank_rows,
    sentence,
    temperature_rows,
    title,
    verdict_title,
)
from blendin_local.views.probe_rows import COUNTED, ENTRANTS, probe_head, probe_rows

KINDS: Mapping[VerdictName, ParagraphKind] = {"pays": "good", "no difference seen": ""}


def check_page(check: CheckReport) -> str:
    """The whole page."""
    subtitle = " · ".join([title(check), *blend_settings(check.signature)])
    return page("Is this pair any good?", list(_sections(check)), subtitle=subtitle)


def _sections(check: CheckReport) -> Iterator[Section]:
    yield Section("Verdict", blocks=list(_verdicts(check)))
    if check.probe is not None and check.probe.outcomes:
        yield _probe(check.probe)
    if check.answers is not None:
        yield _answers(check.answers)
    if check.calibration:
        yield _calibration(check)
    yield _files(check)
    if check.signature:
        text = preformatted(readable_json(check.signature))
        yield Section("", blocks=[details("Files, versions and settings", [text])])


def _verdicts(check: CheckReport) -> Iterator[Markup]:
    if not check.complete:
        yield paragraph("The check was stopped, so there is no verdict.", "warning")
    elif check.probe is None and check.answers is not None:
        yield paragraph(NOT_PROBED)
    elif not check.verdicts:
        yield paragraph("Only the files were checked, and no problem was found.")
    yield from (_verdict(found) for found in check.verdicts)
    yield from (_verdict(found, "Signal: ", "notice") for found in check.signals)
    yield from (paragraph(sentence(remark), "notice") for remark in check.remarks)


def _verdict(found: CheckVerdict, before: str = "", kind: ParagraphKind | None = None) -> Markup:
    name = f"{before}{verdict_title(found)}"
    reasons = [sentence(reason) for reason in found.reasons]
    advice = sentence(found.advice) if found.advice else ""
    kind = KINDS.get(found.name, "warning") if kind is None else kind
    return verdict(kind, f"{name[:1].upper()}{name[1:]}", reasons, advice)


def _probe(probe: ProbeReport) -> Section:
    """Base, guide and method: a plot per purpose, and the counts."""
    pictures = [
        bars(
            purpose.capitalize(),
            [COUNTED.get(figure, figure.replace("_", " ")) for figure in outcome.scores["method"]],
            {
                name: [Estimate(e.value, e.low, e.high) for e in outcome.scores[entrant].values()]
                for entrant, name in zip(ENTRANTS, ("base", "guide", "with both"), strict=True)
            },
            percent=True,
            top=1.0,
            label="share of prompts that are answered right, with 95 % intervals",
        )
        for purpose, outcome in probe.outcomes.items()
    ]
    cut = "" if probe.complete else " It was stopped before all were answered."
    return Section(
        "Does guiding pay?",
        "Short prompts whose answers can be scored, asked of the base alone, of the guide alone, and of both "
        f"with method {probe.method}.{cut}",
        [table(probe_head(probe), probe_rows(probe)), *pictures],
    )


def _pairs(rows: Sequence[tuple[str, str]]) -> Markup:
    return table(("", ""), [row for row in rows if row[1]])


def _answers(answers: AnswerStatistics) -> Section:
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


def _calibration(check: CheckReport) -> Section:
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


def _files(check: CheckReport) -> Section:
    files = {role: dict(model_rows(model)) for role, model in check.description.models.items()}
    names = list(next(iter(files.values())))
    rows = [(name, *(rows[name] for rows in files.values())) for name in names]
    return Section("Files", blocks=[table(("", *files), rows), _pairs(pair_rows(check.description))])
