"""What the probe saw, as verdicts in words.

Here: `probe_verdicts`, one per purpose.
Not here: the rule behind the word (`jobs.probe.outcome`), signals without reference answers (`verdicts`).
"""

from __future__ import annotations

from collections.abc import Iterator

from blendin_local.core.percent import percent, percent_interval
from blendin_local.jobs.check.hit_rates import PROBE, HitRates
from blendin_local.jobs.check.verdicts import CheckVerdict, hit_rate_reasons
from blendin_local.jobs.probe.asking import ProbeReport
from blendin_local.jobs.probe.outcome import Contrast, Entrant, Outcome
from blendin_local.jobs.probe.prompts import Purpose

MORE_PROMPTS = {"safety": "xstest,justeval-safe", "instructions": "ifeval"}


def probe_verdicts(probe: ProbeReport, hit_rates: HitRates) -> tuple[CheckVerdict, ...]:
    """A verdict for each purpose that the probe compared.

    Args:
        probe: What the probe found.
        hit_rates: On how many evaluated pairs such verdicts were right.
    """
    rates = hit_rates.get(PROBE, {})
    return tuple(
        CheckVerdict(
            outcome.word,
            (
                *_reasons(probe.method, outcome),
                *hit_rate_reasons({of: rate for of, rate in rates.items() if of == purpose}),
            ),
            _advice(purpose, outcome),
            purpose,
        )
        for purpose, outcome in probe.outcomes.items()
    )


def _reasons(method: str, outcome: Outcome) -> Iterator[str]:
    base, guide = outcome.against_base, outcome.against_guide
    yield (
        f"{method} is right on {_share(outcome, 'method')}, the base alone on {_share(outcome, 'base')}, "
        f"the guide alone on {_share(outcome, 'guide')}"
    )
    yield (
        f"of {base.n} prompts {method} gains {base.gained or 'none'} and loses {base.lost or 'none'} against "
        f"the base: {_difference(base)}"
    )
    if outcome.guide_is_as_good:
        yield f"the guide alone is as good or better: {method} has {_difference(guide)}"
    else:
        yield f"against the guide alone {method} has {_difference(guide)}"
    if outcome.prompts_to_settle is not None:
        yield f"about {outcome.prompts_to_settle:,} prompts would settle it, if the shares stay as they are"
    elif outcome.word == "no difference seen" and outcome.smallest_visible is not None:
        yield f"{base.n} prompts can show a difference of {percent(outcome.smallest_visible, 0)} or more"


def _advice(purpose: Purpose, outcome: Outcome) -> str:
    if outcome.word == "hurts":
        return "use --method base for this"
    if outcome.word == "pays":
        return "try --method guide too: it is faster" if outcome.guide_is_as_good else ""
    return f"ask more: blendin eval --benchmarks {MORE_PROMPTS[purpose]}"


def _share(outcome: Outcome, entrant: Entrant) -> str:
    found = outcome.scores[entrant][outcome.figure]
    return percent_interval(found.value, found.low, found.high)


def _difference(found: Contrast) -> str:
    value, low, high = (percent(end, signed=True) for end in (found.difference, found.low, found.high))
    p = "below 0.001" if found.p < 0.001 else f"{found.p:.2g}"
    return f"{value} ({low} to {high}), p {p}"
