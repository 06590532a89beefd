"""What drafts bring here, the costs that decide it, and what they would bring with a cheaper guide.

Here: `draft_costs`, of several tokens of one answer; `draft_measurements`; `predicted_speed`.
Not here: answers with and without drafts (`methods`), whether guesses come true (`guesses`), the formula
(`core.drafting`).
All is relative to what one token costs the base.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter

from blendin_local.core.drafting import Plan
from blendin_local.core.records import Completion
from blendin_local.decode.drafter import MAX_DRAFT
from blendin_local.engine.context import Context
from blendin_local.engine.eval_costs import EvalCosts
from blendin_local.jobs.bench.guesses import Guess, guesses_along, rates_by_depth
from blendin_local.jobs.bench.methods import QUESTIONS
from blendin_local.jobs.bench.report import (
    DraftMeasurements,
    Measurement,
    MethodMeasurements,
    PredictedSpeed,
    ratio,
)
from blendin_local.pair.pair import Pair

THIS_GUIDE, A_TENTH = "this_guide", "a_tenth"
TENTH = 0.1  # of the base's cost: the guide that is imagined


def draft_costs(context: Context, sizes: Sequence[int], tokens: Sequence[int]) -> dict[int, float]:
    """Time of one evaluation of n tokens of one conversation, all with logits, relative to one token.

    Args:
        context: Of one sequence, which has read a prompt.
        sizes: Numbers of tokens, beginning with 1.
        tokens: The answer goes on by each of them in turn, with the next ones as its draft.

    Returns:
        By number of tokens; empty where drafts cannot be taken back.
    """
    if not context.rewinder.drops_any_tail:
        return {}
    [sequence] = context.sequences
    times: dict[int, list[float]] = {n: [] for n in sizes if n <= context.max_rows}
    for i, token in enumerate(tokens):
        for n, taken in times.items():  # in turns, so that a machine that drifts drifts for all
            sequence.drop_draft()
            sequence.accept(token, b"-")
            sequence.draft = [tokens[(i + j) % len(tokens)] for j in range(1, n)]
            started = perf_counter()
            context.predict([sequence])
            taken.append(perf_counter() - started)
    sequence.drop_draft()
    return {n: median(taken) / median(times[sizes[0]]) for n, taken in times.items()}


def draft_measurements(
    pair: Pair,
    rounds: Sequence[Mapping[str, Sequence[Completion]]],
    methods: Mapping[str, MethodMeasurements],
    costs: Mapping[int, Measurement],
    *,
    off: str,
    auto: str,
) -> DraftMeasurements:
    """Put together what drafts bring.

    Args:
        pair: The open pair that made the answers.
        rounds: The answers of each round, by variant.
        methods: The measurements of the variants; `base` and `guide` without drafts are among them.
        costs: The base's `draft_costs`, round by round.
        off: The variant without drafts.
        auto: The same with drafts where they are expected to pay.
    """
    guesses = _cached(lambda question, completion: guesses_along(pair, question, completion))
    along = [
        [guesses(question, completion) for question, completion in zip(QUESTIONS, answers[off], strict=True)]
        for answers in rounds
    ]
    base = methods["base"].tokens_per_s
    guide_cost = ratio(base, methods["guide"].tokens_per_s)
    asked_cost = Measurement(
        tuple(max(0.0, each - 1) for each in ratio(base, methods[off].tokens_per_s).trials)
    )
    rates = [rates_by_depth(answers, MAX_DRAFT) for answers in along]
    return DraftMeasurements(
        off=methods[off].tokens_per_s,
        auto=methods[auto].tokens_per_s,
        gain=ratio(methods[auto].tokens_per_s, methods[off].tokens_per_s),
        drafted=_per_step(rounds, auto, "drafted"),
        accepted=_per_step(rounds, auto, "accepted"),
        came_true=Measurement(tuple(_share_true(answers) for answers in along)),
        predicted={
            THIS_GUIDE: _predicted(costs, guide_cost, asked_cost, rates, share=None),
            A_TENTH: _predicted(costs, guide_cost, asked_cost, rates, share=TENTH),
        },
    )


def predicted_speed(
    seconds: Callable[[int], float], guide_cost: float, asked_cost: float, rates: Sequence[float]
) -> tuple[float, float, int]:
    """Speeds relative to the base alone by the formula of `core.drafting.Plan`.

    Args:
        seconds: C(n), what n tokens at once cost the base; C(1) is 1.
        guide_cost: c, what one token costs the guide.
        asked_cost: g, what a step costs the guide on average without drafts.
        rates: s_1 to s_n, how often each guess comes true if all before it did.

    Returns:
        Without drafts, with drafts of the best length, and that length; 0 where no draft pays.
    """
    plan = Plan(seconds, guess_s=guide_cost, asked_s=asked_cost, reads_along=True)
    length = plan.best_length(rates)
    return 1 / plan.seconds_per_token(()), 1 / plan.seconds_per_token(rates[:length]), length


def interpolated(costs: Mapping[int, float]) -> Callable[[int], float]:
    """C(n) for every n from a few of its values, as `EvalCosts` estimates it."""
    known = EvalCosts()
    known.note(1, 1.0)
    for n, cost in costs.items():
        known.note(n, cost)
    return known.seconds


def _predicted(
    costs: Mapping[int, Measurement],
    guide_cost: Measurement,
    asked_cost: Measurement,
    rates: Sequence[Sequence[float]],
    *,
    share: float | None,
) -> PredictedSpeed:
    """Round by round; with `share`, of a guide of that cost, asked and right as often as this one."""
    trials = []
    for i, (c, g) in enumerate(zip(guide_cost.trials, asked_cost.trials, strict=True)):
        scale = 1.0 if share is None else share / c
        curve = interpolated({n: cost.trials[i] for n, cost in costs.items()})
        possible = rates[i][: max(costs, default=1) - 1]  # beyond what was measured nothing is known
        trials.append((c * scale, *predicted_speed(curve, c * scale, g * scale, possible)))
    cost, lazy, drafted, length = (
        Measurement(tuple(map(float, column))) for column in zip(*trials, strict=True)
    )
    return PredictedSpeed(guide_cost=cost, without=lazy, drafts=drafted, length=length)


def _cached(
    find: Callable[[str, Completion], list[Guess]],
) -> Callable[[str, Completion], list[Guess]]:
    """Rounds mostly repeat their answers to the letter."""
    known: dict[tuple[str, str], list[Guess]] = {}

    def look_up(question: str, completion: Completion) -> list[Guess]:
        key = question, completion.text
        if key not in known:
            known[key] = find(question, completion)
        return known[key]

    return look_up


def _share_true(answers: Sequence[Sequence[Guess]]) -> float:
    all_guesses = [guess for answer in answers for guess in answer]
    return sum(guess.came_true for guess in all_guesses) / max(1, len(all_guesses))


def _per_step(rounds: Sequence[Mapping[str, Sequence[Completion]]], variant: str, name: str) -> Measurement:
    """Drafted or accepted tokens per step."""
    return Measurement(
        tuple(
            sum(sum(getattr(each.timings, name).values()) for each in answers[variant])
            / max(1, sum(len(each.steps) for each in answers[variant]))
            for answers in rounds
        )
    )
