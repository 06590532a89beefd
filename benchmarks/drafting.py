"""What drafts bring: predicted for other machines from recorded answers, or measured on this one.

Run: python benchmarks/drafting.py [--pair qwen-1500m-smollm2] [--answers FILE]
     python benchmarks/drafting.py --measure qwen-1500m-smollm2
(with BLENDIN_MODELS=benchmarks/models.toml for pairs that are only there)

A prediction answers prompts of free text without drafts, notes what the guide would have guessed at every
step, and plays the answers again at other costs (`draft_simulation.py`). It is no claim about a machine.

A measurement answers 20 prompts of free text and 10 of quoting and editing: by the base alone, and by the
pair with `--draft off` and `auto`, prompt by prompt in turns. It prints medians of the ratios of a prompt.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from draft_simulation import CURVES, Answer, Costs, Place, Prediction, predict

from blendin_local.core.records import Completion
from blendin_local.jobs.bench.guesses import Guess, guesses_along, rates_by_depth
from blendin_local.jobs.check.built_in_texts import built_in_prompts
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import open_pair
from blendin_local.settings import AnswerSettings

GUIDE_COSTS = (0.55, 0.25, 0.10)
SHOWN_DEPTHS = 4
CODE = (
    "def total(prices, rate):\n    result = 0\n    for price in prices:\n"
    "        result += price * (1 + rate)\n"
    "    return round(result, 2)"
)
STORY = (
    "The harbour clock had stopped at ten past four. Nobody in the village minded, because the boats "
    "left with the tide and came home with the wind. Only Marta, who sold bread on the quay, wound her own "
    "watch every morning."
)
LIST = "apples 3 kg, pears 2 kg, walnuts 500 g, honey 4 jars, flour 10 kg, salt 1 kg"
QUOTING = (
    f"Repeat this text word for word:\n\n{STORY}",
    f"Copy this list, one item per line:\n\n{LIST}",
    f"Rename the variable `result` to `amount` in this code and show the whole code:\n\n{CODE}",
    f"Add a docstring to this function and show the whole function:\n\n{CODE}",
    "Correct the spelling and write the whole text again:\n\n"
    "Their are many reasons to vissit the mountans in autum. The air is clear, the forrests are quiet, "
    "and the huts are allmost empty.",
    f"Put this text into the present tense:\n\n{STORY}",
    f"Which sentence of this text is about Marta? Quote it exactly.\n\n{STORY}",
    "Extract all e-mail addresses from this text, one per line:\n\nWrite to anna.lee@example.org about "
    "rooms, to kitchen@example.org about meals, and to marta.quay@example.org about bread.",
    "Turn this into JSON with the keys name, city and year:\n\n"
    "Anna Lee, Lisbon, 1987; Tom Berg, Oslo, 1990; Ines Roth, Vienna, 1979; Paul Moor, Leeds, 1983",
    f"Repeat this code and change only the rounding to three digits:\n\n{CODE}",
)


def free_prompts(n: int) -> list[str]:
    """The first prompts of `blendin check`."""
    return built_in_prompts().read_text(encoding="utf-8").splitlines()[:n]


def respond(pair: Pair, prompt: str, n_tokens: int, **settings: Any) -> Completion:  # noqa: ANN401
    """One answer of at most `n_tokens` steps."""
    limits = AnswerSettings(max_tokens=n_tokens, loop_guard=False)
    return pair.respond(prompt, answer=limits, **settings)


def record(name: str, n_prompts: int, n_tokens: int, threads: Mapping[str, int]) -> list[list[Place]]:
    """Answer prompts of free text without drafts, and note what the guide would have guessed."""
    answers = []
    with open_pair(name, pull=True, base_settings=threads, guide_settings=threads) as pair:
        for prompt in free_prompts(n_prompts):
            completion = respond(pair, prompt, n_tokens, draft="off")
            steps = [step for step in completion.steps if step.bytes]
            guesses = guesses_along(pair, prompt, completion)
            answers.append(
                [
                    Place(guess.probability, guess.came_true, step.asked)
                    for guess, step in zip(guesses, steps, strict=True)
                ]
            )
    return [answer for answer in answers if answer]


def recorded(path: Path | None, make: Any) -> list[list[Place]]:  # noqa: ANN401
    """The answers in a file; if there is none, they are made and written to it."""
    if path is not None and path.exists():
        return [[Place(**place) for place in answer] for answer in json.loads(path.read_text())]
    answers: list[list[Place]] = make()
    if path is not None:
        path.write_text(json.dumps([[asdict(place) for place in answer] for answer in answers]))
    return answers


def print_predictions(answers: Sequence[Answer]) -> None:
    """How good the guesses are, then a table with a row for each curve and each cost of the guide."""
    places = [place for answer in answers for place in answer]
    true = sum(place.came_true for place in places) / len(places)
    asked = sum(place.asked for place in places) / len(places)
    guesses = [[Guess(place.probability, place.came_true) for place in answer] for answer in answers]
    depths = ", ".join(f"{rate:.2f}" for rate in rates_by_depth(guesses, SHOWN_DEPTHS))
    print(f"{len(answers)} answers, {len(places)} steps, asked {asked:.1%}, guessed right {true:.1%}")
    print(f"first, second, ... guess right if those before it are: {depths}")
    print("\nTokens/s relative to the base alone; right, drafted: of our rule, drafted per step")
    print(f"{'':22}{'c':>6}{'lazy':>7}{'best k':>8}{'speed':>7}{'our rule':>10}{'right':>8}{'drafted':>9}")
    for name, points in CURVES.items():
        for c in GUIDE_COSTS:
            print(f"{name:22}{c:6.2f}{_cells(predict(answers, Costs(points, c)))}")


def _cells(found: Prediction) -> str:
    own = found.own
    right = f"{own.accepted / own.drafted:.0%}" if own.drafted else "-"
    return (
        f"{found.lazy.speed:7.2f}{found.best_k:8}{found.best_fixed.speed:7.2f}{own.speed:10.2f}"
        f"{right:>8}{own.drafted / own.steps:9.2f}"
    )


VARIANTS: dict[str, dict[str, str]] = {
    "base alone": {"method": "base", "draft": "off"},
    "off": {"draft": "off"},
    "auto": {"draft": "auto"},
}


def measure(pair: Pair, prompts: Sequence[str], n_tokens: int) -> list[dict[str, Completion]]:
    """Answer every prompt in every variant; which one begins changes from prompt to prompt."""
    found = []
    names = list(VARIANTS)
    for i, prompt in enumerate(prompts):
        turn = [*names[i % len(names) :], *names[: i % len(names)]]
        found.append({name: respond(pair, prompt, n_tokens, **VARIANTS[name]) for name in turn})
    return found


def speed(completion: Completion) -> float:
    """Steps per second, the prompt aside."""
    return max(1, len(completion.steps)) / completion.timings.generation_ms * 1000


def print_measured(kind: str, found: Sequence[Mapping[str, Completion]]) -> None:
    """Medians over the prompts, and the worst prompt."""
    speeds = [{name: speed(completion) for name, completion in each.items()} for each in found]
    auto_off = [each["auto"] / each["off"] for each in speeds]
    auto_base = [each["auto"] / each["base alone"] for each in speeds]
    off_base = [each["off"] / each["base alone"] for each in speeds]
    drafted, accepted = (
        {
            source: sum(getattr(each["auto"].timings, name).get(source, 0) for each in found)
            for source in ("guide", "ngram")
        }
        for name in ("drafted", "accepted")
    )
    steps = sum(len(each["auto"].steps) for each in found)
    print(f"{kind}: {len(found)} prompts, {steps} steps with auto")
    print(f"  tokens/s: {', '.join(f'{name} {median(s[name] for s in speeds):.1f}' for name in VARIANTS)}")
    print(f"  auto / off        median {median(auto_off):.3f}, least {min(auto_off):.3f}")
    print(f"  auto / base alone median {median(auto_base):.3f}, least {min(auto_base):.3f}")
    print(f"  off / base alone  median {median(off_base):.3f}, least {min(off_base):.3f}")
    print("  accepted of drafted: " + ", ".join(f"{s} {accepted[s]} of {drafted[s]}" for s in drafted))


def main() -> None:
    """Predict, or measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pair", default="qwen-1500m-smollm2", help="whose answers are played again")
    parser.add_argument("--answers", type=Path, help="file of recorded answers; written if it is not there")
    parser.add_argument("--measure", metavar="PAIR", help="measure this pair here instead")
    parser.add_argument("--prompts", type=int, default=20, help="prompts of free text")
    parser.add_argument("--quoting", type=int, default=len(QUOTING), help="prompts of quoting and editing")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    threads = {"threads": options.threads} if options.threads else {}
    if not options.measure:
        make = lambda: record(options.pair, options.prompts, options.tokens, threads)  # noqa: E731
        print_predictions(recorded(options.answers, make))
        return
    with open_pair(options.measure, pull=True, base_settings=threads, guide_settings=threads) as pair:
        respond(pair, "Hello", 8, draft="off")  # warm up
        print_measured("free text", measure(pair, free_prompts(options.prompts), options.tokens))
        print_measured("quoting and editing", measure(pair, QUOTING[: options.quoting], options.tokens))


if __name__ == "__main__":
    main()
