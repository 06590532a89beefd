"""The pair behind a server, and what it does for a request.

Here: `ServeSpec`, what is served and how; `Service`: names, defaults, prepared requests, kept answers,
counts; `open_service`.
Not here: HTTP (`server.application`), the thread that runs the models (`decode.inference_thread`).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

from blendin_local.core.answer_start import AnswerStart, fork
from blendin_local.core.methods import Role
from blendin_local.core.records import Completion, Step
from blendin_local.core.text import StopStringBuffer
from blendin_local.decode.inference_thread import InferenceThread, Submission, Work
from blendin_local.decode.loaded_model import LoadProgress
from blendin_local.decode.request import PreparedRequest
from blendin_local.decode.search import refuse_search
from blendin_local.errors import BlendinError, UsageError
from blendin_local.grammar.compilation import require_form
from blendin_local.jobs.preparation import choose_n_parallel, open_for_rows, refuse_exact_prompts, settle
from blendin_local.jobs.request_values import RequestDefaults
from blendin_local.pair.pair import Pair
from blendin_local.pair.prompt_length import require_room
from blendin_local.pair.resolve import (
    NO_INTERACTION,
    Interaction,
    PairSpec,
    ResolvedPair,
    locate_files,
    resolve_pair,
)
from blendin_local.pair.roles import check_roles
from blendin_local.server.bodies import ChatBody, Common, Fork, errors_of
from blendin_local.server.counts import Counts
from blendin_local.server.kept_answers import KeptAnswers

MAX_WAITING = 64
MANY = 10_000  # requests that could come: the number of slots depends on cores and memory alone


@dataclass(frozen=True)
class ServeSpec:
    """What is served, and how.

    Attributes:
        pair: Which pair, with the settings of requests that set none.
        n_parallel: How many answers may be made at once; None chooses by cores and memory.
        max_waiting: How many requests may wait beyond that.
        options: The options of the command line that say which models are loaded and how, by name.
    """

    pair: PairSpec = field(default_factory=PairSpec)
    n_parallel: int | None = None
    max_waiting: int = MAX_WAITING
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """So many tokens of a role's prompt are read."""

    role: Role
    n_read: int
    n_prompt: int


@dataclass(frozen=True)
class Shown:
    """A step, with the part of its text that is certainly answer."""

    step: Step
    text: str


@dataclass(frozen=True)
class Finished:
    """The whole answer."""

    completion: Completion


Event = Progress | Shown | Finished


class Service:
    """A pair that answers requests.

    Args:
        pair: The open pair.
        thread: The thread that runs it.
        resolved: What it was opened for.
        options: As in `ServeSpec`.

    Attributes:
        name: What clients call it.
        defaults: Settings of requests that set none.
        pair_defaults: Those that the pair has without the options of this server; None if there are none.
        secret: Known to this process and to whoever can read its announcement; in hexadecimal.
        counts: What has been answered so far.
        created: When it was opened, in seconds since 1970.
        kept: Answers that may be decided again, or continued.
        running: Answers with their whole record that are being made, by id.
    """

    def __init__(
        self,
        pair: Pair,
        thread: InferenceThread,
        resolved: ResolvedPair,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.pair = pair
        self.thread = thread
        self.resolved = resolved
        self.name = resolved.pair_name or "pair"
        self.defaults = _defaults(resolved)
        self.pair_defaults = _pair_defaults(resolved)
        self.options = dict(options or {})
        self.secret = secrets.token_hex(32)
        self.counts = Counts()
        self.created = int(time.time())
        self.running: WeakValueDictionary[str, Answer] = WeakValueDictionary()
        self.kept = KeptAnswers()

    @property
    def models(self) -> list[str]:
        """The ids under which it answers: the pair, and the pair with each method it can use."""
        return [self.name, *(f"{self.name}:{method}" for method in self.resolved.methods)]

    def prepare(self, body: ChatBody) -> list[PreparedRequest]:
        """The requests of a chat body, one for each choice; call it in a thread of its own: it takes time.

        Raises:
            BlendinError: The prompt is too long, the form of the answer is not supported, or as
                `Pair.stream`.
        """
        common = body.common
        require_form_of(common)
        start = self._start(body.fork)
        settings = replace(common.settings, answer=replace(common.settings.answer, evidence=common.keep))
        requests = [
            self.pair.prepare(body.messages, with_seed(settings, i), "", start) for i in range(common.n)
        ]
        require_room(self.pair, requests[0].prompts)
        return requests

    def _start(self, wanted: Fork | None) -> AnswerStart:
        if wanted is None:
            return ""
        kept = self.kept[wanted.answer_id].completion
        if wanted.candidate is not None:
            return fork(kept, wanted.step, wanted.candidate)
        if not 0 <= wanted.step <= len(kept.steps):
            raise UsageError(f"there is no step {wanted.step}", f"the answer has {len(kept.steps)} steps")
        return kept.steps[: wanted.step]

    def submit(self, jobs: Sequence[PreparedRequest | Work]) -> list[Answer]:
        """Hand over requests that belong together; from the event loop's thread.

        Raises:
            QueueFullError: They are more than may wait.
            ServiceStoppedError: The server is stopping.
        """
        answers = [Answer(job, self.counts) for job in jobs]
        submissions = self.thread.submit_all([(answer.job, answer) for answer in answers])
        for answer, submission in zip(answers, submissions, strict=True):
            answer.submission = submission
        return answers


class Answer:
    """One request in the hands of the inference thread, as the event loop sees it.

    Args:
        job: The request.
        counts: What has been answered so far.

    Attributes:
        submission: How it is cancelled.
        shows_start: Whether its events begin with the steps that the client sent.
    """

    submission: Submission

    def __init__(self, job: PreparedRequest | Work, counts: Counts) -> None:
        self.job = job
        self.shows_start = False
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Progress | Step | Completion | BlendinError | None] = asyncio.Queue()

    def progress(self, role: Role, n_read: int, n_prompt: int) -> None:
        """Called in the inference thread."""
        self._put(Progress(role, n_read, n_prompt))

    def step(self, step: Step) -> None:
        """Called in the inference thread."""
        self._put(step)

    def finished(self, result: Completion | BlendinError | None) -> None:
        """Called in the inference thread."""
        self._counts.note(result)
        self._put(result)

    def _put(self, item: Progress | Step | Completion | BlendinError | None) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    def cancel(self) -> None:
        """End it within one step."""
        self.submission.cancel()

    async def events(self) -> AsyncIterator[Event]:
        """What becomes of an answer, up to its end; the steps that a client has already are left out.

        Raises:
            BlendinError: There is no answer.
        """
        assert isinstance(self.job, PreparedRequest), "only answers have events"
        n_known = 0 if self.shows_start else n_known_steps(self.job.answer_start)
        hold = StopStringBuffer(self.job.settings.answer.stop, len(self.job.answer_start))
        while True:
            item = await self._queue.get()
            if isinstance(item, Progress):
                yield item
                continue
            if isinstance(item, BlendinError):
                raise item
            for step, text in hold.feed(item) if isinstance(item, Step) else hold.flush():
                if step.i >= n_known:
                    yield Shown(step, text)
            if isinstance(item, Completion):
                yield Finished(item)
                return

    async def wait(self) -> None:
        """Wait for a task that is no answer; raises its error."""
        result = await self._queue.get()
        if isinstance(result, BlendinError):
            raise result


def require_form_of(common: Common) -> None:
    """Raise `HttpError` if the form that a request asks for is invalid; this takes time."""
    with errors_of(common.form_field):
        require_form(common.settings.answer)


def n_known_steps(start: Sequence[Step]) -> int:
    """How many steps at the start of an answer the client has: all but one that was chosen last."""
    return len(start) - 1 if start and start[-1].source == "chosen" else len(start)


def with_seed(settings: Any, i: int) -> Any:  # noqa: ANN401 - GenerationSettings
    """The settings of the choice `i`: another seed for each."""
    sampling = settings.sampling
    if sampling.temperature == 0 or i == 0:
        return settings
    seed = secrets.randbits(32) if sampling.seed is None else sampling.seed + i
    return replace(settings, sampling=replace(sampling, seed=seed))


@contextmanager
def open_service(
    spec: ServeSpec,
    *,
    interaction: Interaction = NO_INTERACTION,
    on_note: Callable[[str], None] = lambda _: None,
    on_load: Callable[[LoadProgress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Service]:
    """Open the pair and start its thread; close both at the end of the block.

    Args:
        spec: What is served.
        interaction: Callbacks to the user.
        on_note: Called with each notice for the user, a sentence.
        on_load: Called as the models are loaded.
        should_stop: Polled meanwhile.

    Raises:
        BlendinError: As `open_pair`; UsageError for exact prompts.
        KeyboardInterrupt: `should_stop` became true while the models were loaded.
    """
    refuse_exact_prompts(spec.pair, "request")
    resolved = settle(replace(spec.pair, every_model=True), interaction, on_note)
    refuse_search(resolved.sampling)
    paths = locate_files(resolved, None, interaction)
    for notice in check_roles(resolved, paths):
        on_note(f"note: {notice}")
    setup = resolved.setup.with_files(paths)
    n_parallel = choose_n_parallel(setup, spec.n_parallel, MANY)
    fresh = any(settings.reproducible for _, settings in setup.files().values())
    with (
        open_for_rows(replace(setup, n_parallel=n_parallel), should_stop, on_load) as pair,
        pair.inference_thread(max_waiting=spec.max_waiting, fresh=fresh) as thread,
        ThreadPoolExecutor(1, thread_name_prefix="blendin-forms") as before_requests,
    ):
        before_requests.submit(pair.prepare_forms)
        yield Service(pair, thread, resolved, spec.options)


def _defaults(resolved: ResolvedPair) -> RequestDefaults:
    return RequestDefaults(
        resolved.blend, resolved.sampling, resolved.answer, resolved.system, resolved.methods
    )


def _pair_defaults(resolved: ResolvedPair) -> RequestDefaults | None:
    """What a command that opens the same pair itself would begin with; None if it could not open it."""
    spec = replace(resolved.spec, blend={}, sampling={}, answer={}, system=None)
    try:
        return replace(_defaults(resolve_pair(spec, resolved.registry)), methods=resolved.methods)
    except UsageError:
        return None
