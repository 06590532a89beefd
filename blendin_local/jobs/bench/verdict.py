"""What a benchmark means for its user, in one line; and whether to believe it.

Here: `verdict` and `doubts`, pure functions of the record.
Not here: the measurements.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from blendin_local.core.percent import percent
from blendin_local.jobs.bench.report import BenchReport, DraftMeasurements, Measurement

EQUAL_WITHIN = 1.03  # counts of threads within 3 % of the best are as good; the smaller is then enough
WORTHWHILE_SPEEDUP = 1.15  # times the tokens of one: below it more rows are not worth their memory
CHEAP_SHARE = 0.8  # of the base's own speed: a pair that keeps as much has a cheap guide
DRAFT_GAIN = 1.03  # times the speed without drafts: below it they save nothing worth mentioning
UNSTEADY_SPREAD = 0.1  # a typical spread above it suggests that other programs are running
BUSY_CORES = 0.25  # cores in use by other programs, from which the report mentions it


def best_threads(decode: dict[int, Measurement]) -> int:
    """The smallest count that is as fast as any."""
    fastest = max(measurement.median for measurement in decode.values())
    return min(n for n, measurement in decode.items() if measurement.median * EQUAL_WITHIN >= fastest)


def verdict(bench: BenchReport) -> str:
    """The best thread count, whether more rows help, whether the guide is cheap, what drafts bring."""
    parts = [_threads(bench), _rows(bench), _guide(bench), drafts_verdict(bench)]
    return "; ".join(part for part in parts if part)


def _threads(bench: BenchReport) -> str:
    counts = {role: best_threads(dict(model.decode)) for role, model in bench.models.items()}
    best = set(counts.values())
    if len(best) == 1:
        [n] = best
        advice = f"{n} thread is best" if n == 1 else f"{n} threads are best"
    else:
        advice = "best threads: " + ", ".join(f"{n} for the {role}" for role, n in counts.items())
    n_cores = bench.machine["threads"]
    return advice + (" (what auto takes on an idle machine)" if best == {n_cores} else " (give it with -t)")


def _rows(bench: BenchReport) -> str:
    best = max(bench.rows, key=lambda n: bench.rows[n].speedup.median, default=1)
    gain = bench.rows[best].speedup.median if bench.rows else 1.0
    if gain < WORTHWHILE_SPEEDUP:
        return "more rows at once do not help"
    enough = min(n for n, row in bench.rows.items() if row.speedup.median * EQUAL_WITHIN >= gain)
    return f"{enough} rows at once give {bench.rows[enough].speedup.median:.1f} times the tokens of one"


def _guide(bench: BenchReport) -> str:
    if not {"base", "blendin"} <= set(bench.methods):
        return ""
    kept = bench.methods["blendin"].tokens_per_s.median / bench.methods["base"].tokens_per_s.median
    asked = bench.methods["blendin"].asked.median
    price = (
        f"takes {percent(1 - kept)} of the base's speed where it is asked at {percent(asked)} of the steps"
    )
    return f"a guide this size is {'cheap' if kept >= CHEAP_SHARE else 'not cheap'} here: it {price}"


def drafts_verdict(bench: BenchReport) -> str:
    """What drafts bring here, why, and what they would bring with a guide of a tenth of the base's cost."""
    if bench.drafts is None:
        return ""
    costs = bench.models["base"].draft_cost
    if not costs:
        return "the base's memory allows no drafts"
    gain = bench.drafts.gain.median
    found = "drafts save nothing here"
    if gain >= DRAFT_GAIN:
        found = f"drafts give {gain:.2f} times the tokens/s"
    if several := [n for n in costs if n > 1]:
        n = min(several)
        found += f": {n} tokens at once cost {costs[n].median:.1f} times one"
    return found + _with_cheaper_guide(bench.drafts)


def _with_cheaper_guide(drafts: DraftMeasurements) -> str:
    this, tenth = drafts.predicted["this_guide"], drafts.predicted["a_tenth"]
    if this.guide_cost.median <= tenth.guide_cost.median:
        return ""
    if not tenth.length.median:
        return ", nor would they with a guide of a tenth of the base's cost"
    return (
        f"; with a guide of a tenth of the base's cost they should give {tenth.drafts.median:.2f} times the "
        f"speed of the base alone, {tenth.without.median:.2f} without drafts"
    )


def _timed(bench: BenchReport) -> Iterator[Measurement]:
    for model in bench.models.values():
        yield model.prefill
        yield from model.decode.values()
    for method in bench.methods.values():
        yield method.tokens_per_s
    if bench.drafts is not None:
        yield bench.drafts.auto
    for row in bench.rows.values():
        yield row.tokens_per_s


def typical_spread(bench: BenchReport) -> float:
    """The median of the spreads of all speeds."""
    return median(measurement.spread for measurement in _timed(bench))


def doubts(bench: BenchReport) -> str:
    """Why the measurements may be too low; empty if there is no reason."""
    reasons = []
    if bench.cores_left is not None:
        taken = (bench.machine["affinity"] or bench.machine["cores"]) - bench.cores_left
        if taken > BUSY_CORES:
            reasons.append(f"other programs used {taken:.1f} cores")
    if (spread := typical_spread(bench)) > UNSTEADY_SPREAD:
        reasons.append(f"trials differ by ±{percent(spread)}")
    return " and ".join(reasons)
