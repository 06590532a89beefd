"""Laws that every method keeps, checked on scripted models.

Here: `check_method` and the laws it checks, one function each.
Not here: what a method should choose (its own tests check that), the scripted models (`testing.scripted`).
Source: design rules "Gate", "Blend", "END" and "Whole characters".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import ParamSpec

from blendin_local.core.candidates import END
from blendin_local.core.decisions import AnswerState, Ask, Decision, MethodSteps
from blendin_local.core.distribution import Prediction
from blendin_local.core.methods import Method
from blendin_local.core.records import Step
from blendin_local.core.roles import GUIDES, ROLES, Role
from blendin_local.decode.respond import Ending, respond
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from blendin_local.testing.scripted import SILENT, Script, ScriptedRole, play, random_script, spoken

P = ParamSpec("P")
MAX_QUESTIONS = 1000  # per step; nudging-words needs the most, 17
STEPS = 12
MASS_ERROR = 1e-6  # float32 softmax
HELPER = {b"b": 0.8, b"a": 0.1}


@dataclass(frozen=True)
class WatchedStep:
    """One step as a method made it.

    Attributes:
        asked: Its questions with the answers.
        decision: What it concluded.
    """

    asked: tuple[tuple[Ask, Prediction], ...]
    decision: Decision

    def prediction_of(self, role: Role) -> Prediction | None:
        """The prediction of `role` for this step, None if it was not asked for one."""
        return next((p for ask, p in self.asked if ask == Ask(role)), None)


@dataclass
class Run:
    """One answer of the method under test."""

    settings: BlendSettings
    sampling: SamplingSettings
    limit: int
    roles: dict[Role, ScriptedRole]
    steps: list[Step] = field(default_factory=list)
    watched: list[WatchedStep] = field(default_factory=list)
    ending: Ending | None = None
    guides: tuple[Role, ...] = ("guide",)


@dataclass(frozen=True)
class Case:
    """The facts about the method under test that the laws need."""

    method: Method
    roles: tuple[Role, ...]
    gated: bool
    settings: BlendSettings
    sure_from: Callable[[BlendSettings], float]

    def start(self, scripts: Sequence[Script], sampling: SamplingSettings, limit: int) -> _Started:
        """An answer of these models (one for each of `ROLES`) that is made step by step."""
        models = dict(zip(ROLES, map(ScriptedRole, scripts), strict=True))
        run = Run(self.settings, sampling, limit, models, guides=self.guides)
        return run, _made(self.method, run)

    @property
    def guides(self) -> tuple[Role, ...]:
        """The guides among its models."""
        return tuple(role for role in GUIDES if role in self.roles) or ("guide",)

    def run(
        self, scripts: Sequence[Script], sampling: SamplingSettings | None = None, limit: int = STEPS
    ) -> Run:
        """A whole answer."""
        run, making = self.start(scripts, sampling or SamplingSettings(), limit)
        for _ in making:
            pass
        return run


_Started = tuple[Run, Generator[Step, None, None]]


def check_method(
    method: Method,
    *,
    roles: Sequence[Role] = ("base", "guide"),
    gated: bool = True,
    settings: BlendSettings | None = None,
    sure_from: Callable[[BlendSettings], float] = lambda settings: settings.threshold,
    cases: int = 10,
    seed: int = 0,
) -> None:
    """Hold a method to the laws of all methods, on random scripted models and on a few written ones.

    Args:
        method: The rule; it need not be in `METHODS`.
        roles: The models it may ask; several guides among them for a method that asks all that there are.
        gated: Whether it leaves the base alone where that is sure of its next token.
        settings: What the method is given; its defaults if None.
        sure_from: The top-1 probability from which on a gated method leaves the base alone; the threshold,
            unless the method has a test of its own.
        cases: How many triples of random models to try.
        seed: The first of these.

    Raises:
        AssertionError: A law is broken; the message names it and the models.

    Example:
        >>> from blendin_local.core.methods import METHODS
        >>> check_method(METHODS["nudging"])
    """
    case = Case(method, tuple(roles), gated, settings or BlendSettings(), sure_from)
    for number in range(seed, seed + cases):
        for temperature in (0.0, 0.7):
            _check_random(case, number, SamplingSettings(temperature=temperature, seed=number))
    for law in (the_end_ends, unanimous_models_are_obeyed, the_gate_holds):
        _hold(law, "on written models", case)


def _check_random(case: Case, number: int, sampling: SamplingSettings) -> None:
    scripts = _models(number)
    run = case.run(scripts, sampling)
    where = f"on random models {number} at temperature {sampling.temperature:g}"
    for law in ANSWER_LAWS:
        _hold(law, where, case, run)
    for step_law in STEP_LAWS:
        for i, step in enumerate(run.watched):
            _hold(step_law, f"{where}, step {i}", step)
    _hold(the_seed_decides, where, case, run)
    _hold(answers_are_independent, where, case, run, _models(number + 1))


def _models(number: int) -> list[Script]:
    return [random_script(number, role, silence=0.1) for role in ROLES]


def _hold(law: Callable[P, None], where: str, *args: P.args, **kwargs: P.kwargs) -> None:
    try:
        law(*args, **kwargs)
    except AssertionError as broken:
        raise AssertionError(f"{law.__name__}: {broken} ({where})") from None


def require(condition: bool, message: str) -> None:
    """Raise AssertionError with this message unless the condition holds, also under `python -O`."""
    if not condition:
        raise AssertionError(message)


def _watching(method: Method, watched: list[WatchedStep]) -> Method:
    """The same method, each of its steps kept in a list."""

    def steps(settings: BlendSettings, state: AnswerState) -> MethodSteps:
        asked: list[tuple[Ask, Prediction]] = []
        making = method(settings, state)
        try:
            ask = next(making)
            while True:
                require(len(asked) < MAX_QUESTIONS, f"a step has asked {MAX_QUESTIONS} questions")
                prediction = yield ask
                asked.append((ask, prediction))
                ask = making.send(prediction)
        except StopIteration as finished:
            decision: Decision = finished.value
            require(isinstance(decision, Decision), f"a step returned {decision!r}, not a Decision")
            watched.append(WatchedStep(tuple(asked), decision))
            return decision

    return steps


def _made(method: Method, run: Run) -> Generator[Step, None, None]:
    answer = AnswerSettings(max_tokens=run.limit, loop_guard=False)
    running = respond(
        run.settings, run.sampling, answer, method=_watching(method, run.watched), guides=run.guides
    )
    playing = play(running, run.roles)
    while True:
        try:
            step = next(playing)
        except StopIteration as finished:
            run.ending = finished.value
            return
        run.steps.append(step)
        yield step


def every_step_adds_whole_characters(_: Case, run: Run) -> None:
    """No step is empty, and after each one the answer is valid UTF-8."""
    for step in run.steps:
        require(step.bytes != b"", f"step {step.i} adds nothing")
        try:
            step.bytes.decode()
        except UnicodeDecodeError:
            require(False, f"step {step.i} adds {step.bytes!r}, which is no whole text")


def only_its_roles_are_asked(case: Case, run: Run) -> None:
    """A model that was not announced is not loaded, so it cannot be asked."""
    for step in run.watched:
        strangers = {ask.role for ask, _ in step.asked} - set(case.roles)
        require(not strangers, f"it asked {', '.join(sorted(strangers))}, but its roles are {case.roles}")


def the_ending_fits(_: Case, run: Run) -> None:
    """An answer ends by the one END that won, or after as many steps as were allowed."""
    if run.ending is None:
        require(False, "it has no ending")
    elif run.ending.end is None:
        require(len(run.steps) == run.limit, f"it ended after {len(run.steps)} steps without END")
    else:
        require(run.ending.stopped_by in {"base_end", "guide_end"}, f"END won: {run.ending.stopped_by}")


def the_options_are_a_distribution(step: WatchedStep) -> None:
    """No mass is lost or made: 1 in all, or what the list of a model that was asked holds of its mass."""
    spread = step.decision.options.distribution()
    require(len(spread) > 0, "there is nothing to pick from")
    require(
        all(0 <= p <= 1 + MASS_ERROR for p in spread.values()), f"a probability is outside 0..1: {spread}"
    )
    total = sum(spread.values())
    lists = [sum(prediction.candidates.values()) for _, prediction in step.asked]
    min_sum = min([1.0, *lists])
    require(
        min_sum - MASS_ERROR <= total <= 1 + MASS_ERROR,
        f"the probabilities sum to {total:.6f}, which is not between {min_sum:.6f} and 1",
    )


def the_greedy_choice_is_the_likeliest(step: WatchedStep) -> None:
    """What temperature 0 takes has the largest probability of what is sampled from, which comes first."""
    spread, best = step.decision.options.distribution(), step.decision.options.best()
    require(best in spread, f"the greedy choice {best!r} is not among the candidates")
    masses = list(spread.values())
    require(spread[best] == max(masses), f"the greedy choice {best!r} is not the likeliest")
    require(masses == sorted(masses, reverse=True), "the candidates are not sorted, largest first")


def the_decision_says_who_was_asked(step: WatchedStep) -> None:
    """It holds the predictions it was made with, for the records and the rates."""
    for role in ROLES:
        require(
            step.decision.predictions.get(role) is step.prediction_of(role),
            f"the decision's {role} is not the prediction that was asked for",
        )
    alpha = step.decision.alpha
    require(alpha is None or 0 <= alpha <= 1, f"alpha is {alpha}")


def a_silent_helper_changes_nothing(step: WatchedStep) -> None:
    """Where a model that was asked beside the base makes no suggestion, the base's own choice stays.

    Of several guides all have to be silent for that.
    """
    base = step.decision.base
    helpers = (step.decision.guide, step.decision.untuned)
    if base is not None and any(helper is not None and helper.silent for helper in helpers):
        best = step.decision.options.best()
        require(best == base.top, f"it takes {best!r} and not the base's {base.top!r}")


def the_seed_decides(case: Case, run: Run) -> None:
    """The same models, settings and seed give the same answer, and a shorter limit the beginning of it."""
    scripts = [role.script for role in run.roles.values()]
    again = case.run(scripts, run.sampling)
    require(again.steps == run.steps, "the same seed gave another answer")
    shorter = case.run(scripts, run.sampling, limit=STEPS // 2)
    require(shorter.steps == run.steps[: STEPS // 2], "a shorter limit gave another beginning")


def answers_are_independent(case: Case, run: Run, others: Sequence[Script]) -> None:
    """Two answers that are made step by step in turn are what each is alone: a method keeps no state."""
    scripts = [role.script for role in run.roles.values()]
    first, making = case.start(scripts, run.sampling, STEPS)
    second, making_other = case.start(others, run.sampling, STEPS)
    for _ in zip_longest(making, making_other):
        pass
    require(first.steps == run.steps, "an answer changes where another one is made at the same time")
    require(second.steps == case.run(others, run.sampling).steps, "the answer beside it changes")


def unanimous_models_are_obeyed(case: Case) -> None:
    """If all models predict the same text, it is the answer, whether they are sure or not."""
    for p in (0.3, 0.9):
        run = case.run([spoken([b"One", b" day", b"."], p)] * len(ROLES))
        answer = b"".join(step.bytes for step in run.steps)
        require(
            answer == b"One day.",
            f"all say b'One day.' with {p}, the answer is {answer!r}",
        )


def the_end_ends(case: Case) -> None:
    """Where all models want to end, the answer ends, with nothing added."""
    for p in (0.3, 0.9):
        run = case.run([spoken([], p)] * len(ROLES))
        ended = run.ending is not None and run.ending.end is not None and run.ending.end.bytes == END
        require(ended and not run.steps, f"all models end with {p}, the answer goes on")


def the_gate_holds(case: Case) -> None:
    """A gated method asks only the base where the base is sure, and asks the guide at a first step where not.

    One without a gate asks at every step. A base that makes no suggestion is never sure. The gate is tried
    with the measure `top1`, and without first steps that ask in any case.
    """
    if "base" not in case.roles or len(case.roles) == 1:
        return
    for threshold in (0.3, 0.6, 0.9):
        settings = replace(case.settings, threshold=threshold, gate="top1", always_first=0)
        tried, from_here = replace(case, settings=settings), case.sure_from(settings)
        for name, base, sure in (
            ("above", {b"a": min(from_here + 0.01, 1.0)}, True),
            ("below", {b"a": max(from_here - 0.01, 0.0)}, False),
            ("without a suggestion", {b"a": min(from_here + 0.01, 0.4), SILENT: 0.55}, False),
        ):
            helpers = [_everywhere(HELPER)] * (len(ROLES) - 1)
            run = tried.run([_everywhere(base), *helpers], limit=3)
            asked = [any(step.prediction_of(role) for role in case.guides) for step in run.watched]
            all_or_none = (
                {role in step.decision.predictions for role in case.guides} for step in run.watched
            )
            require(all(len(each) == 1 for each in all_or_none), "some of the guides were asked, not all")
            as_required = all(asked) if not case.gated else (not any(asked) if sure else asked[0])
            require(
                as_required,
                f"with the base {name} (threshold {threshold:g}) the guide was asked at "
                f"{sum(asked)} of {len(asked)} steps by one {'with' if case.gated else 'without'} a gate",
            )
            if sure and case.gated:
                require(all(step.bytes == b"a" for step in run.steps), "a sure base is obeyed")


def _everywhere(probabilities: Mapping[bytes, float]) -> Script:
    return lambda _: probabilities


ANSWER_LAWS = (every_step_adds_whole_characters, only_its_roles_are_asked, the_ending_fits)
STEP_LAWS = (
    the_options_are_a_distribution,
    the_greedy_choice_is_the_likeliest,
    the_decision_says_who_was_asked,
    a_silent_helper_changes_nothing,
)
