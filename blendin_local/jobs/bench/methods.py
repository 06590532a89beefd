"""The pair at each method, one answer at a time: speed, where the time goes, how often the guide is asked.

Here: `answer_in_turns` and `method_measurements`.
Not here: the models alone (`models`), what drafts bring (`drafts`), answers made together (`parallel`).
Methods take turns within a round, so that a machine that drifts drifts for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

from blendin_local.core.records import Completion
from blendin_local.jobs.bench.report import Measurement, MethodMeasurements, ModelMeasurements, Workload
from blendin_local.pair.pair import Pair
from blendin_local.settings import AnswerSettings, BlendSettings, Draft

QUESTIONS = ("Give me three tips for a job interview.", "Write a short story about a lighthouse keeper.")


def answer_in_turns(
    pair: Pair,
    variants: Mapping[str, tuple[BlendSettings, Draft]],
    workload: Workload,
    *,
    on_round: Callable[[int], None],
) -> list[dict[str, list[Completion]]]:
    """Answer the same questions in every variant, round by round.

    Args:
        pair: An open pair.
        variants: Method and drafts, by name.
        workload: How much is measured.
        on_round: Called with the number of each round that begins.

    Returns:
        For each round the answers by variant, in the order of `QUESTIONS`.
    """
    rounds = []
    _answer(pair, *list(variants.values())[-1], 4)  # warm up
    for i in range(workload.rounds):
        on_round(i)
        rounds.append(
            {name: _answer(pair, *variant, workload.answer_tokens) for name, variant in variants.items()}
        )
    return rounds


def _answer(pair: Pair, blend: BlendSettings, draft: Draft, max_tokens: int) -> list[Completion]:
    limits = AnswerSettings(max_tokens=max_tokens, loop_guard=False, draft=draft)
    return [pair.respond(question, blend=blend, answer=limits) for question in QUESTIONS]


def method_measurements(
    rounds: Sequence[Mapping[str, Sequence[Completion]]], models: Mapping[str, ModelMeasurements]
) -> dict[str, MethodMeasurements]:
    """The measurements of every variant.

    Args:
        rounds: From `answer_in_turns`.
        models: The models alone, for the time of their candidate lists.
    """
    return {name: _figures([answers[name] for answers in rounds], models) for name in rounds[0]}


def _figures(
    trials: Sequence[Sequence[Completion]], models: Mapping[str, ModelMeasurements]
) -> MethodMeasurements:
    each = [_one_trial(completions, models) for completions in trials]
    names = [field.name for field in fields(MethodMeasurements)]
    return MethodMeasurements(**{name: Measurement(tuple(trial[name] for trial in each)) for name in names})


def _one_trial(
    completions: Sequence[Completion], models: Mapping[str, ModelMeasurements]
) -> dict[str, float]:
    def total(name: str) -> float:
        return float(sum(getattr(completion.timings, name) for completion in completions))

    steps = sum(len(completion.steps) for completion in completions) or 1
    asked = sum(completion.blend.asked for completion in completions)
    wall_ms = total("prompt_ms") + total("generation_ms")
    in_llama = total("llama_decode_ms") / wall_ms
    in_lists = asked * sum(model.list_ms.median for model in models.values()) / wall_ms
    return {
        "tokens_per_s": steps / total("generation_ms") * 1000,
        "first_token_ms": total("first_step_ms") / len(completions),
        "asked": asked / steps,
        "guide_tokens": sum(map(_guide_tokens, completions)) / steps,
        "in_llama": in_llama,
        "in_lists": in_lists,
        "in_python": max(0.0, 1 - in_llama - in_lists),
    }


def _guide_tokens(completion: Completion) -> int:
    """Tokens the guide evaluated beyond its prompt."""
    usage = completion.usage
    return max(0, usage.guide_tokens_evaluated - usage.guide_prompt_tokens)
