"""What tells a wrong chat template from a right one: several signals, for each guide with each template.

Run: python benchmarks/template_likelihood.py [--models ...] [--templates ...]

Every guide gets the template of its own file (`own`), those of `chat_templates.py`, and none. Measured:

- `words`: the mean probability (geometric) of the fixed words after the question in the prompt itself;
- `bits/byte`: the negative log-likelihood of good answers of a sentence or more;
- `end, sentence`: the probability that the answer ends after these, or after a line break;
- `end, word`: the same after one-word answers, which is what `blendin check` measures;
- `or after a break`: that, or a line break and then the end.

It also prints how long `end, word` takes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from pathlib import Path
from statistics import fmean
from time import perf_counter

from chat_templates import ALL

from blendin_local.core.prompts import Message, PlainTemplate
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.vocabulary import Span
from blendin_local.jobs.check.built_in_texts import one_word_answers
from blendin_local.jobs.check.template_fit import end_probability
from blendin_local.models.fetch import ensure_local
from blendin_local.models.registry import load_registry
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import ModelSettings

MODELS = ("demo-guide", "qwen-500m", "qwen-1500m", "demo-base")
SENTENCES = (
    ("What is the capital of France?", "The capital of France is Paris."),
    (
        "How many days are there in a week?",
        "There are seven days in a week: Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.",
    ),
    (
        "Why is the sky blue?",
        "The sky looks blue because the air scatters the blue part of sunlight more strongly than the red "
        "part, so blue light reaches our eyes from every direction.",
    ),
    ("What is 12 times 12?", "12 times 12 is 144."),
    (
        "How do I boil an egg?",
        "Bring a pot of water to a boil, lower the egg into it, and let it cook for about eight minutes. "
        "Then put the egg into cold water so that it is easy to peel.",
    ),
    (
        "Give me three tips for staying healthy.",
        "1. Eat plenty of vegetables and fruit.\n2. Move for at least half an hour every day.\n"
        "3. Sleep seven to eight hours a night.",
    ),
    ("Who wrote the play Romeo and Juliet?", "Romeo and Juliet was written by William Shakespeare."),
    (
        "Rewrite this sentence in the past tense: She walks to school every morning.",
        "She walked to school every morning.",
    ),
    (
        "What is the difference between weather and climate?",
        "Weather is what happens in the air over hours or days, such as rain or wind. Climate is the average "
        "of the weather in a place over many years.",
    ),
    (
        "Write one sentence about the sea.",
        "The sea stretched out to the horizon, calm and blue under the morning sun.",
    ),
    ("Translate into French: Good morning, my friend.", "Bonjour, mon ami."),
    (
        "Can I use my phone while it is charging?",
        "Yes, you can use your phone while it is charging. It may get a little warm and charge more slowly, "
        "but it is safe with a good charger.",
    ),
)


@dataclass(frozen=True)
class Row:
    """One guide with one template."""

    model: str
    template: str
    words: float | None
    bits_per_byte: float
    end_sentence: float
    end_word: float
    end_word_or_break: float
    end_word_s: float


def measure(model: str, path: Path, name: str, source: str | None, threads: int) -> Row:
    """All signals of one guide with one template."""
    settings = ModelSettings(ctx_size=1024, threads=threads)
    plain = PlainTemplate("none", "{text}\n", "{text}\n")
    setup = PairSetup(None, path, plain, guide_settings=settings, guide_template=source)
    with Pair(setup) as pair:
        started = perf_counter()
        end_word = known(end_probability(pair, one_word_answers()))
        seconds = perf_counter() - started
        return Row(
            model,
            name,
            words(pair, [question for question, _ in SENTENCES[:3]]),
            bits_per_byte(pair),
            fmean(end_or_break(pair, *row) for row in SENTENCES),
            end_word,
            fmean(end_or_break(pair, *row) for row in one_word_answers()),
            seconds,
        )


def known(probability: float | None) -> float:
    """A figure that every context here has room for."""
    assert probability is not None
    return probability


def end_or_break(pair: Pair, question: str, answer: str) -> float:
    """P(END | a) + P(n | a) * P(END | a n), n being a line break."""
    options = [answer, answer + "\n"]
    plain, broken = pair.option_logprobs("guide", [Message("user", question)], options, ends=True)
    assert plain.end_logprob is not None
    assert broken.end_logprob is not None
    return exp(plain.end_logprob) + exp(broken.logprob - plain.logprob + broken.end_logprob)


def bits_per_byte(pair: Pair) -> float:
    """-log2 P(answer | question) over all bytes of the answers."""
    scores = [pair.option_logprobs("guide", [Message("user", q)], [a])[0] for q, a in SENTENCES]
    return -sum(score.logprob for score in scores) / log(2) / sum(score.n_bytes for score in scores)


def words(pair: Pair, questions: Sequence[str]) -> float | None:
    """exp(mean_j log p(t_j)) over the tokens after the question in the prompt, without the first of them.

    None if the template puts no more than one token there.
    """
    logprobs: list[float] = []
    for question in questions:
        text = "".join(span.text for span in pair.prompt_spans("guide", [Message("user", question)]))
        before, _, tail = text.rpartition(question)
        parts = Span(before + question, trusted=True), Span(tail, trusted=True)
        n_before = len(pair.vocabulary("guide").tokenize_prompt(parts[:1]))
        logprobs += [score.logprob for score in list(pair.read("guide", parts))[n_before:]]
    return exp(fmean(logprobs)) if logprobs else None


def templates(path: Path, names: Sequence[str]) -> Mapping[str, str | None]:
    """Those of the named templates that a model can be given; its own only if it has one."""
    known = {"own": None, **ALL} if read_header(path).chat_template else ALL
    return {name: source for name, source in known.items() if name in names}


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--models", nargs="+", default=MODELS, help="names of models.toml")
    parser.add_argument(
        "--templates", nargs="+", default=["own", *ALL], help="own, and names of chat_templates"
    )
    parser.add_argument("--threads", type=int, default=0, help="threads; 0 chooses")
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    options = parser.parse_args()
    paths = ensure_local(options.models, load_registry())
    rows = []
    for model, path in paths.items():
        for name, source in templates(path, options.templates).items():
            rows.append(measure(model, path, name, source, options.threads))
            if not options.json:
                print(line(rows[-1]), flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))


def line(row: Row) -> str:
    """A row of the table in docs/check.md."""
    fixed = "" if row.words is None else f"{row.words:.3f}"
    return (
        f"| {row.model} | {row.template} | {fixed} | {row.bits_per_byte:.3f} | {row.end_sentence:.3f} "
        f"| **{row.end_word:.3f}** | {row.end_word_or_break:.3f} | {row.end_word_s:.1f} s |"
    )


if __name__ == "__main__":
    main()
