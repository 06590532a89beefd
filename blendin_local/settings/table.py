"""The table of settings: with `settings.blend`, the one place with the defaults of an answer.

Here: frozen dataclasses whose fields describe a setting completely: name, type, default, interval, help,
flags, environment variable, and its name on each surface. A new setting is one new field.
Not here: the settings of the methods (`settings.blend`), how llama.cpp runs a model (`settings.model`),
settings about a person, not about an answer (`settings.personal`), how a field is declared and read
(`settings.setting`), where a value came from (`pair.resolve`).

A setting has the same name everywhere, unless its field gives another: `--agreement-bonus`,
`agreement_bonus` in models.toml and in rows, `/set agreement-bonus`, `--sweep agreement-bonus=0,0.1`. Where
a surface does not offer a setting, `Excluded` gives the reason.
"""
# ruff: noqa: RUF009 - `setting` declares a field, as `dataclasses.field` does

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from blendin_local.errors import UsageError
from blendin_local.settings.search import SearchSize
from blendin_local.settings.setting import Excluded, check_settings, setting
from blendin_local.settings.texts import GRAMMAR, JSON_SCHEMA, REGEX

Draft = Literal["auto", "off", "guide", "ngram", "both"]

_COUNTED = Excluded("an evaluation counts the seeds of a sampled method itself: --seeds")
_OTHER_TOP_K = Excluded("in an evaluation top-k is the old name of top-k-blend")
_NO_PENALTY = Excluded("an evaluation compares methods without penalties on repetition")
_PER_ANSWER = Excluded("a search is asked for with an answer: it needs a third model and many sequences")
_TASK_LIMITS = Excluded("the benchmark sets the limits of its answers")
_SAME_ANSWER = Excluded("drafts change how fast an answer comes, not which")
_NO_FORM = Excluded("an evaluation compares methods by free answers, which its scorers read")
_BY_OUTPUT = Excluded("it follows from the output that is asked for, such as --trace")


PENALTY_FIELDS = ("repeat_", "presence_", "frequency_", "dry_")
_penalty = partial(setting, sweep=_NO_PENALTY)


@dataclass(frozen=True)
class SamplingSettings:
    """How one candidate is picked from the blended distribution."""

    temperature: float = setting(
        0.0,
        "Sampling temperature; 0 always picks the most probable candidate.",
        low=0,
        high=100,
        name="temp",
        flags=("--temperature",),
        row="temperature",
    )
    top_k: int = setting(
        0,
        "Sample from this many of the most probable candidates; 0 for all.",
        low=0,
        high=math.inf,
        sweep=_OTHER_TOP_K,
    )
    top_p: float = setting(
        1.0,
        "Sample from the smallest set of candidates whose probabilities add up to this; 1 for all.",
        low=0,
        high=1,
    )
    min_p: float = setting(
        0.0,
        "Drop candidates less probable than this share of the most probable one.",
        low=0,
        high=1,
    )
    seed: int | None = setting(
        None,
        "Seed of the random numbers; a random one is recorded with the answer.",
        low=0,
        high=2**63 - 1,
        words={"random": None, "-1": None},
        sweep=_COUNTED,
    )
    search: str | None = setting(
        None,
        "Search over chunks: write W * K sequences, L steps at a time, and keep the W that the guide holds "
        "likeliest compared with the untuned guide; such as 2,2,30.",
        words={"off": None},
        metavar="W,K,L",
        toml=_PER_ANSWER,
        save=_PER_ANSWER,
        sweep=_PER_ANSWER,
    )
    repeat_penalty: float = _penalty(
        1.0,
        "Divide the logit of what was said lately by this, or multiply if negative; 1 is off.",
        low=1,
        high=100,
    )
    repeat_last_n: int = _penalty(
        64, "Last tokens that the repeat, presence and frequency penalties look at; -1 for all.", low=-1
    )
    presence_penalty: float = _penalty(
        0.0, "Subtract this from the logit of what was said lately.", low=0, high=1000
    )
    frequency_penalty: float = _penalty(
        0.0, "Subtract this from the logit for every time that it was said lately.", low=0, high=1000
    )
    dry_multiplier: float = _penalty(
        0.0, "Strength of DRY, which penalizes what would continue a repetition; 0 is off.", low=0, high=1000
    )
    dry_base: float = _penalty(1.75, "DRY: growth of the penalty with each repeated token.", low=1, high=100)
    dry_allowed_length: int = _penalty(2, "DRY: repetitions up to this many tokens are free.", low=1)
    dry_penalty_last_n: int = _penalty(
        -1, "DRY: how many of the last tokens it looks at; -1 for all.", low=-1
    )
    dry_sequence_breaker: tuple[str, ...] = _penalty(
        ("\n", ":", '"', "*"),
        "DRY: a repetition does not reach back over this text (\\n: a line break); can be repeated.",
        words={"none": ()},
    )

    def __post_init__(self) -> None:
        check_settings(self)
        typed = self.dry_sequence_breaker  # with escapes, as on llama.cpp's command line
        breakers = tuple(text.replace(r"\n", "\n").replace(r"\t", "\t") for text in typed)
        object.__setattr__(self, "dry_sequence_breaker", breakers)
        self.require_search()
        if "" in breakers:
            raise UsageError("a sequence breaker of DRY is empty", "give it a text, or none")

    def require_search(self) -> None:
        """Raise `UsageError` where a search could find only one answer."""
        if self.search is None:
            return
        size = SearchSize.of(self.search)
        if size.n_sequences > 1 and self.temperature == 0:
            raise UsageError(
                f"search {self.search} would write the same answer {size.n_sequences} times at temperature 0",
                "give a temperature, such as --temp 0.7",
            )

    @property
    def search_size(self) -> SearchSize | None:
        """How much a search tries; None without one."""
        return None if self.search is None else SearchSize.of(self.search)

    @property
    def penalizes_tokens(self) -> bool:
        """Whether the repeat, presence or frequency penalty is on."""
        strengths = self.repeat_penalty - 1, self.presence_penalty, self.frequency_penalty
        return self.repeat_last_n != 0 and any(strengths)

    @property
    def penalizes_sequences(self) -> bool:
        """Whether DRY is on."""
        return self.dry_multiplier > 0 and self.dry_penalty_last_n != 0

    @property
    def penalizes(self) -> bool:
        """Whether any penalty on repetition is on."""
        return self.penalizes_tokens or self.penalizes_sequences

    @property
    def longest_window(self) -> int:
        """How many of the last tokens the penalties that are on look at; -1 for all."""
        tokens = self.repeat_last_n if self.penalizes_tokens else 0
        sequences = self.dry_penalty_last_n if self.penalizes_sequences else 0
        return -1 if -1 in {tokens, sequences} else max(tokens, sequences)

    def to_json(self) -> dict[str, Any]:
        """As records hold it; penalties and a search only where they are on, as in records of before."""
        values = {**asdict(self), "dry_sequence_breaker": list(self.dry_sequence_breaker)}
        if self.search is None:
            del values["search"]
        return {k: v for k, v in values.items() if self.penalizes or not k.startswith(PENALTY_FIELDS)}


FORMS = ("json_schema", "regex", "grammar")
"""The settings of a form that an answer must have; it can have one of them."""
_form = partial(setting, words={"none": None}, sweep=_NO_FORM)


@dataclass(frozen=True)
class AnswerSettings:
    """When an answer ends, which form it must have, and what is kept of each step."""

    max_tokens: int | None = setting(
        512,
        "Largest number of tokens in an answer; -1 or unlimited ends it only where the context is full.",
        low=1,
        high=math.inf,
        words={"unlimited": None, "-1": None},
        flags=("--n-predict", "--predict", "-n"),
        sweep=_TASK_LIMITS,
    )
    stop: tuple[str, ...] = setting(
        (),
        "End the answer before this text; can be repeated.",
        words={"none": ()},
        sweep=_TASK_LIMITS,
    )
    loop_guard: bool = setting(True, "End an answer that only repeats itself.", sweep=_TASK_LIMITS)
    json_schema: str | None = _form(
        None,
        "The answer is JSON that matches this JSON Schema; {} for any object.",
        text=JSON_SCHEMA,
        flags=("-j", "--json-schema-file", "-jf"),
    )
    regex: str | None = _form(
        None, "The answer matches this regular expression from beginning to end.", text=REGEX
    )
    grammar: str | None = _form(
        None,
        "The answer matches this grammar, in llama.cpp's GBNF or in Lark.",
        text=GRAMMAR,
        flags=("--grammar-file",),
    )
    schema_in_prompt: bool = setting(
        True, "Tell the models the JSON Schema, so that they know which fields to fill.", sweep=_NO_FORM
    )
    top_logprobs: int = setting(
        0,
        "Candidates of each distribution to keep with every step; chat and --html keep 10 if not given.",
        low=0,
        high=1000,
        sweep=_TASK_LIMITS,
    )
    draft: Draft = setting(
        "auto",
        "Guess several tokens ahead and check them at once: the guide guesses, or text that repeats itself "
        "(ngram), or both; auto guesses only where that saves time.",
        env="BLENDIN_DRAFT",
        sweep=_SAME_ANSWER,
    )
    evidence: bool = setting(
        False,
        "Keep everything that decided a step, so that the answer can be replayed.",
        cli=_BY_OUTPUT,
        toml=_BY_OUTPUT,
        chat=_BY_OUTPUT,
        save=_BY_OUTPUT,
        row=_BY_OUTPUT,
        sweep=_BY_OUTPUT,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if "" in self.stop:
            raise UsageError("a stop string is empty", "leave out --stop, or give it a text")
        given = [name.replace("_", "-") for name in FORMS if getattr(self, name) is not None]
        if len(given) > 1:
            raise UsageError(f"an answer cannot have two forms: {' and '.join(given)}", "give one of them")

    def to_json(self) -> dict[str, Any]:
        """As records hold it; those of a form only where they are not the default, as in earlier records."""
        values = {**asdict(self), "stop": list(self.stop)}
        return {name: value for name, value in values.items() if USUAL_FORM.get(name, ...) != value}


USUAL_FORM: Mapping[str, Any] = {**dict.fromkeys(FORMS), "schema_in_prompt": True}
"""The defaults of what belongs to a form: a record that lacks them was made with these."""


def of_one_form(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `AnswerSettings` that replace others: a form among them also takes an earlier one away."""
    if all(given.get(name) is None for name in FORMS):
        return dict(given)
    return {**dict.fromkeys(FORMS), **given}


EVALUATION_SEED = 609  # the paper's: draws subsets, the order of options, and bootstrap copies
EXCESSIVE_INTERVENTION_RATE = 0.20  # the paper's warning sign, section 3.2
