"""A benchmark of sums, and a pair that answers as told: evaluations whose numbers can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from blendin_local.core.prompts import Message
from blendin_local.core.records import Completion
from blendin_local.core.token_scores import OptionScore
from blendin_local.errors import BlendinError, ContextFullError
from blendin_local.jobs.evaluation.folder import Folder, digest, write_items
from blendin_local.jobs.evaluation.run.progress import EvalProgress
from blendin_local.jobs.evaluation.run.run import RunConfig, run_tasks
from blendin_local.jobs.evaluation.score.report import Report, build_report
from blendin_local.jobs.evaluation.spec.entrants import Entrant
from blendin_local.jobs.evaluation.spec.plan import EvalPlan, benchmark_facts, keep_plan
from blendin_local.jobs.evaluation.spec.tasks import Task
from blendin_local.jobs.evaluation.spec.variants import Variant, variants_of
from blendin_local.jobs.scoring.data_files import DataFile
from blendin_local.jobs.scoring.items import Benchmark, Item, Verdict
from blendin_local.models.registry import load_registry
from blendin_local.pair.pair import PairSetup, Request
from blendin_local.pair.resolve import PairSpec, resolve_pair
from blendin_local.settings import BlendSettings
from tests.answers import asked_step, base_step, completion

METHODS = "base,guide,nudging,blendin"
N_ITEMS = 12


def sum_item(i: int) -> Item:
    """`i + 1`, with the right answer among three options."""
    options = (str(i), str(i + 1), str(i + 2))
    return Item(f"sum-{i}", f"{i} + 1?", options, 1, {"question": f"{i} + 1?", "right": i + 1})


def score(item: Item, answer: str) -> Verdict:
    """Whether the last word is the right number."""
    words = answer.split()
    if not words or not words[-1].isdigit():
        return Verdict({"accuracy": 0.0}, None)
    letters = {item.options[k]: "ABC"[k] for k in range(3)}
    return Verdict(
        {"accuracy": float(words[-1] == str(item.reference["right"]))}, letters.get(words[-1], "?")
    )


SUMS = Benchmark(
    name="sums",
    title="Sums",
    about="One more",
    source="made up",
    licence="none",
    file=DataFile("sums", "sums.jsonl", (), Path()),
    system="Add.",
    max_tokens=8,
    metrics=("accuracy",),
    item=lambda row, seed: sum_item(0),
    score=score,
    likelihood="text",
)


@dataclass
class KnowingPair:
    """A pair whose every answer is told; `answers` is a function of the method and the number asked about.

    Attributes:
        stop_after: Rows after which somebody asks it to stop.
        asked: Every request, in order.
    """

    answers: Callable[[str, int], Completion | BlendinError]
    stop_after: int | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    opened: int = 0
    read: int = 0

    @property
    def tokens_evaluated(self) -> int:
        """Nobody evaluates anything."""
        return 0

    @contextmanager
    def open(self, setup: PairSetup, should_stop: Callable[[], bool]) -> Iterator[KnowingPair]:
        del setup, should_stop
        self.opened += 1
        yield self

    def answer_all(
        self, requests: Iterable[Request], *, should_stop: Callable[[], bool], watch: Callable[[], None]
    ) -> Iterator[tuple[Request, Completion | BlendinError]]:
        for request in requests:
            if should_stop():
                yield request, completion(stopped_by="user")
                return
            number = int(request.messages[-1].text.split()[0])
            self.asked.append((request.blend.method, request.key))
            watch()
            yield request, self.answers(request.blend.method, number)

    def option_logprobs(
        self,
        role: str,
        messages: Sequence[Message],
        options: Sequence[str],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> list[OptionScore]:
        """The base likes long options, the guide the right one; both like the letter A."""
        self.read += 1
        number = int(messages[-1].text.split()[0])
        if options[0] == "A":
            return [OptionScore(-float(k), 1, 1) for k in range(len(options))]
        if role == "guide":
            return [OptionScore(-1.0 if text == str(number + 1) else -2.0, len(text), 1) for text in options]
        return [OptionScore(-3.0, len(text), 1) for text in options]


def said(text: str, *, asked: int = 0, stopped_by: str = "guide_end") -> Completion:
    """An answer word by word, of which the first `asked` steps are changed by the guide."""
    words = [f" {word}".encode() for word in text.split()]
    steps = [asked_step(i, w) if i < asked else base_step(i, w) for i, w in enumerate(words)]
    return completion(*steps, stopped_by=stopped_by)  # type: ignore[arg-type]


def usual(method: str, number: int) -> Completion | BlendinError:
    """What each method says.

    base: right for 0 to 2, else runs into the limit; one answer fails. guide: right for even numbers,
    empty for 11. nudging: right for 0 to 5. blendin: right for 0 to 8.
    """
    right = f"it is {number + 1}"
    if method == "base":
        if number == 11:
            return ContextFullError(n_prompt=9, n_ctx=8, role="base")
        return said(right, stopped_by="base_end") if number < 3 else said("I do not", stopped_by="max_tokens")
    if method == "guide":
        return said("" if number == 11 else right if number % 2 == 0 else f"it is {number}")
    if method == "nudging":
        return said(right if number < 6 else f"it is {number}", asked=2)
    return said(
        right if number < 9 else "so so so", asked=1, stopped_by="guide_end" if number < 9 else "repetition"
    )


@dataclass
class Evaluation:
    """An evaluation of sums in a folder."""

    folder: Folder
    variants: tuple[Variant, ...] = variants_of(METHODS, (), BlendSettings())
    n_items: int = N_ITEMS
    settings: BlendSettings = field(default_factory=BlendSettings)
    likelihood_roles: tuple[str, ...] = ()
    pair_name: str = "toys"
    progress: list[EvalProgress] = field(default_factory=list)

    def task(self) -> Task:
        return Task(SUMS, tuple(sum_item(i) for i in range(self.n_items)), SUMS.max_tokens)

    def entrant(self) -> Entrant:
        opened = resolve_pair(PairSpec(base="b.gguf", guide="g.gguf"), load_registry())
        models = {role: {"file": f"{role}.gguf", "size": 1, "sha256": role * 8} for role in ("base", "guide")}
        paths = {"base": Path("b.gguf"), "guide": Path("g.gguf")}
        return Entrant(
            self.pair_name,
            replace(opened, blend=self.settings),
            paths,  # type: ignore[arg-type]
            models,
            self.variants,
            self.likelihood_roles,  # type: ignore[arg-type]
        )

    def keep(self) -> None:
        """Write questions and plan."""
        task, entrant = self.task(), self.entrant()
        path = self.folder.make(self.folder.items("sums"))
        write_items(path, task.items)
        blend = {"threshold": self.settings.threshold, "alpha": None, "agreement_bonus": 0.1, "top_k": 100}
        weights = {
            role: {**facts, "weights": 10**8, "quantization": "Q4_0"}
            for role, facts in entrant.models.items()
        }
        keep_plan(
            self.folder,
            EvalPlan(
                protocol={"seed": 609},
                pairs={self.pair_name: {"models": weights, "blend": blend}},
                benchmarks={"sums": benchmark_facts(SUMS, 8, len(task.items), digest(path), {"too hard": 2})},
                variants={v.name: v.to_json() for v in self.variants},
                cells=tuple((self.pair_name, "sums", v.name) for v in self.variants),
                likelihoods=tuple((self.pair_name, "sums", role) for role in self.likelihood_roles),
                versions={"blendin-local": "0"},
            ),
        )

    def run(self, pair: KnowingPair | None = None) -> KnowingPair:
        """Answer what is left."""
        pair = pair or KnowingPair(usual)
        self.keep()
        run_tasks(
            [self.entrant()],
            [self.task()],
            self.folder,
            RunConfig(n_parallel=2),
            open_pair=pair.open,
            should_stop=lambda: pair.stop_after is not None and len(pair.asked) >= pair.stop_after,
            on_progress=self.progress.append,
        )
        return pair

    def report(self, benchmarks: Mapping[str, Benchmark] | None = None) -> Report:
        return build_report(self.folder, benchmarks or {"sums": SUMS})
