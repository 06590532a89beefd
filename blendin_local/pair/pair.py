"""A pair in memory and the answers it gives: the Python API, and what the command line uses.

Here: `Pair`: prompts, settings and the signature of an answer.
Not here: names and downloads (`pair.resolve`), files and settings (`pair.setup`), the growing answer
(`decode.stream`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from time import perf_counter
from typing import Any, Unpack

from blendin_local.core.answer_start import AnswerStart, start_steps
from blendin_local.core.drafting import AcceptanceRates
from blendin_local.core.methods import Role
from blendin_local.core.prompts import Conversation, Message, as_messages, begun_answer, require_question
from blendin_local.core.records import Completion, Step
from blendin_local.core.text import require_text
from blendin_local.core.token_scores import OptionScore, TokenScore
from blendin_local.decode.inference_thread import InferenceThread
from blendin_local.decode.loaded_model import LoadedModel, OnLoad, load_models
from blendin_local.decode.pair_lock import PairLock
from blendin_local.decode.prompt_spans import text_of
from blendin_local.decode.request import GenerationSettings, PreparedRequest, Request
from blendin_local.decode.role_context import RoleContext
from blendin_local.decode.scoring import score_options, score_text
from blendin_local.decode.signature import signature
from blendin_local.decode.steering import with_gate
from blendin_local.decode.stream import AnswerStream
from blendin_local.engine.library import library
from blendin_local.engine.vocabulary import Span, Vocabulary
from blendin_local.errors import BlendinError, PairError, UsageError
from blendin_local.grammar.definition import definition_of
from blendin_local.grammar.prompt import as_told
from blendin_local.models.store import Store
from blendin_local.pair.constraints import Constraints
from blendin_local.pair.keywords import SettingKeywords, checked_keywords, with_keywords
from blendin_local.pair.many import answer_requests
from blendin_local.pair.needed_models import roles_of_answer
from blendin_local.pair.prompts import PromptRenderer
from blendin_local.pair.setup import MAX_PARALLEL, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings

__all__ = ["MAX_PARALLEL", "Conversation", "Pair", "PairSetup", "Request"]

Stop = Callable[[], bool]


class Pair:
    """Two loaded models, or three, that answer together. A context manager; close it when done.

    It makes one answer, or one `answer_all`, at a time (`decode.pair_lock`): a thread that asks while another
    thread's answer is unfinished gets a `PairError`; in one thread the later answer ends the earlier. Closing
    breaks off an answer that another thread is making. After that every use raises `PairError`. One thread is
    best: llama.cpp keeps a team of workers for each thread that calls it.

    Args:
        setup: Files and settings.
        should_stop: Polled while weights are read.
        on_load: Called before each file is read.

    Raises:
        LoadError: A file cannot be loaded, or there is too little memory.
        PairError: A model cannot play its role.
        KeyboardInterrupt: The user stopped it, through `should_stop` or Ctrl-C; nothing stays loaded.
    """

    def __init__(
        self, setup: PairSetup, should_stop: Stop = lambda: False, on_load: OnLoad = lambda _: None
    ) -> None:
        self.setup = setup
        self._lock = PairLock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="blendin")  # for `async for`
        started = perf_counter()
        files, caches = setup.files(), Store.default().load_caches
        self._models: dict[Role, LoadedModel] = load_models(
            files, caches, should_stop, setup.n_parallel, on_load, n_search=setup.n_search
        )
        self.load_ms = (perf_counter() - started) * 1000
        self._renderer = PromptRenderer(setup, self._models)
        self._acceptance = AcceptanceRates()
        self._constraints = Constraints([model.table for model in self._models.values()])
        self._is_reproducible = any(model.settings.reproducible for model in self._models.values())
        self._slots: list[dict[Role, RoleContext]] = [
            {role: model.role_context(i) for role, model in self._models.items()}
            for i in range(setup.n_parallel)
        ]

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the models once no thread uses them; calling it twice is harmless.

        Raises:
            PairError: The call comes from inside an answer of this pair.
        """
        self._lock.close()
        self._executor.shutdown(wait=False)
        self._slots = []
        for model in self._models.values():
            model.close()

    def prompts(
        self,
        conversation: Conversation,
        system: str | None = None,
        should_stop: Stop = lambda: False,
        *,
        answer: AnswerSettings | None = None,
    ) -> dict[str, str]:
        """The rendered prompt of each role, as it will be tokenized for an answer with these settings."""
        system = self.setup.system if system is None else system
        with self._lock.using():
            messages, _ = begun_answer(as_messages(conversation, system))
            messages = as_told(messages, answer or self.setup.defaults.answer)
            spans = self._renderer.prompts(messages, tuple(self._models), should_stop)
        return {role: text_of(prompt) for role, prompt in spans.items()}

    @checked_keywords
    def stream(
        self,
        conversation: Conversation,
        *,
        system: str | None = None,
        blend: BlendSettings | None = None,
        sampling: SamplingSettings | None = None,
        answer: AnswerSettings | None = None,
        answer_start: AnswerStart = "",
        should_stop: Callable[[], bool] = lambda: False,
        **settings: Unpack[SettingKeywords],
    ) -> AnswerStream:
        """Answer, step by step: iterate with `for`, or with `async for`, which leaves the event loop free.

        Args:
            conversation: A question, or messages whose last is to be answered: `Message` or dicts as in
                OpenAI's chat format. A last message of the assistant is the beginning of the answer and is
                continued. The prefix shared with the previous conversation is not evaluated again.
            system: Instructions, put before a question given as text; None for those of the pair.
            blend: Method, threshold, alpha; None for those of the pair, which are the program's defaults
                unless models.toml or the spec has others.
            sampling: Temperature and its companions, likewise.
            answer: Limits and stop strings, likewise; those of the base's template are added.
            answer_start: What the answer begins with: a text, or the steps that `fork` returns. It is part of
                the answer and comes first in its steps; `max_tokens` does not count a text.
            should_stop: Polled between steps and during long evaluations.
            **settings: Single settings by the names that rows of a batch use, such as `max_tokens=64`,
                `temperature=0.7`, `method="nudging"`, `alpha="auto"`. They replace fields of the three
                objects; None means: not given.

        Raises:
            UsageError: An unknown method or keyword, a wrong value, or nothing to answer.
            PairError: A model that the method needs is missing, a prompt cannot be rendered, another thread
                is making an answer, or the pair is closed.
            ContextFullError: A prompt is longer than its context.
            KeyboardInterrupt: `should_stop` became true while the guide's template ran.
        """
        defaults = self.setup.defaults
        given = GenerationSettings(
            blend or defaults.blend, sampling or defaults.sampling, answer or defaults.answer
        )
        given = with_keywords(given, settings)
        request = self.prepare(conversation, given, system, answer_start, should_stop)
        return AnswerStream(request, self._slots, should_stop, self._lock, self._executor)

    def prepare(
        self,
        conversation: Conversation,
        settings: GenerationSettings,
        system: str | None = None,
        answer_start: AnswerStart = "",
        should_stop: Stop = lambda: False,
    ) -> PreparedRequest:
        """The request as an inference thread takes it; from any thread. Arguments and errors: `stream`."""
        system = self.setup.system if system is None else system
        with self._lock.using():
            return self._task(as_messages(conversation, system), settings, should_stop, answer_start)

    def inference_thread(self, *, max_waiting: int = 64, fresh: bool = False) -> InferenceThread:
        """A thread that answers requests as they come, `PairSetup.n_parallel` at a time; close it first.

        Args:
            max_waiting: How many requests may wait.
            fresh: Whether no answer may depend on an earlier one.
        """
        return InferenceThread(self._slots, self._lock, max_waiting=max_waiting, fresh=fresh)

    def prepare_forms(self) -> None:
        """Do now what the first answer with a form would wait for; from any thread."""
        with self._lock.using():
            self._constraints.prepare()

    @checked_keywords
    def respond(
        self,
        conversation: Conversation,
        *,
        system: str | None = None,
        blend: BlendSettings | None = None,
        sampling: SamplingSettings | None = None,
        answer: AnswerSettings | None = None,
        answer_start: AnswerStart = "",
        should_stop: Callable[[], bool] = lambda: False,
        **settings: Unpack[SettingKeywords],
    ) -> Completion:
        """Answer in one piece; arguments and errors are those of `stream`."""
        stream = self.stream(
            conversation,
            system=system,
            blend=blend,
            sampling=sampling,
            answer=answer,
            answer_start=answer_start,
            should_stop=should_stop,
            **settings,
        )
        for _ in stream:
            pass
        return stream.completion

    def answer_all(
        self,
        requests: Iterable[Request],
        *,
        should_stop: Callable[[], bool] = lambda: False,
        watch: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[Request, Completion | BlendinError]]:
        """Answer many requests, `PairSetup.n_parallel` at a time in shared batches; a search alone.

        With one sequence each answer is that of `respond` on a fresh pair, regardless of earlier answers.

        Args:
            requests: Taken one by one, as sequences become free.
            should_stop: Polled between steps and during evaluations; live answers then end as they are.
            watch: Called after every round of evaluations.

        Yields:
            Each request taken with its answer, or the error that it alone met, in the order of finishing.
        """
        self._lock.require_open()
        stop = self._lock.stop_when_closing(should_stop)

        def prepare(request: Request) -> PreparedRequest:
            return self._task_of(request, stop)

        return self._lock.iterate(lambda: answer_requests(requests, prepare, self._slots, stop, watch))

    @property
    def tokens_evaluated(self) -> int:
        """Tokens that the models have evaluated since they were loaded."""
        return sum(model.context.counter.tokens for model in self._models.values())

    @checked_keywords
    def read(
        self,
        role: Role,
        prompt: Sequence[Span] | str,
        *,
        temperature_profile: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[TokenScore]:
        """Every token of a text with what a model predicted for it; arguments and errors: `score_text`."""
        if isinstance(prompt, str):
            require_text(prompt, "the text")
        spans = (Span(prompt, trusted=False),) if isinstance(prompt, str) else prompt
        role_context = self._role_context(role)
        stop = self._lock.stop_when_closing(should_stop)
        return self._lock.iterate(
            lambda: score_text(role_context, spans, temperature_profile=temperature_profile, should_stop=stop)
        )

    def prompt_spans(self, role: Role, messages: Conversation) -> Sequence[Span]:
        """A role's rendered prompt, with what in it is trusted to hold control tokens."""
        with self._lock.using():
            return self._renderer.prompt(role, as_messages(messages))

    def option_logprobs(
        self,
        role: Role,
        messages: Conversation,
        options: Sequence[str],
        should_stop: Callable[[], bool] = lambda: False,
        *,
        ends: bool = False,
    ) -> list[OptionScore]:
        """The log-likelihood of each option as the answer to a conversation; see `score_options`."""
        for option in options:
            require_text(option, "an option")
        role_context, lease = self._role_context(role), self._lock.acquire()
        stop = self._lock.stop_when_closing(should_stop)
        with self._lock.running(lease):
            prompt = self._renderer.prompt(role, as_messages(messages), stop)
            return score_options(role_context, prompt, options, stop, ends=ends)

    def _role_context(self, role: Role) -> RoleContext:
        self._lock.require_open()
        if role not in self._models:
            raise PairError(f"this needs a {role}, and none was opened", f"name one with --{role}")
        return self._slots[0][role]

    def _task_of(self, request: Request, should_stop: Stop) -> PreparedRequest:
        settings = GenerationSettings(request.blend, request.sampling, request.answer)
        return self._task(as_messages(request.messages), settings, should_stop)

    def _task(
        self,
        messages: Sequence[Message],
        settings: GenerationSettings,
        should_stop: Stop,
        answer_start: AnswerStart = "",
    ) -> PreparedRequest:
        """Check the settings and fill in what they leave open."""
        roles = roles_of_answer(settings.blend, settings.sampling, self._models, len(self._slots))
        messages, begun = begun_answer(messages)
        if begun and answer_start:
            raise UsageError("the answer has two beginnings", "leave out answer_start, or the last message")
        start = start_steps(answer_start or begun)
        if not set(roles) - {"untuned"} <= set(self.setup.exact_prompts):
            require_question(messages)
        messages = as_told(messages, settings.answer)
        for stop in settings.answer.stop:
            require_text(stop, "a stop string")
        sampling = settings.sampling
        if sampling.temperature > 0 and sampling.seed is None:
            sampling = replace(sampling, seed=secrets.randbits(32))
        settings = GenerationSettings(
            settings.blend, sampling, self._with_template_stops(settings.answer, roles)
        )
        prompts = self._renderer.prompts(messages, roles, should_stop)
        request = PreparedRequest(
            prompts,
            settings,
            signature=self._signature(prompts, settings, start),
            notices=self._notices(roles),
            load_ms=self.load_ms,
            answer_start=start,
            acceptance=None if self._is_reproducible or sampling.search else self._acceptance,
            constraint=self._constraints.of(definition_of(settings.answer), start),
        )
        return with_gate(request, self._models, should_stop)

    def _with_template_stops(self, answer: AnswerSettings, roles: Sequence[Role]) -> AnswerSettings:
        template_stops = self.setup.template.stop if "base" in roles else ()
        return replace(
            answer, stop=(*answer.stop, *(stop for stop in template_stops if stop not in answer.stop))
        )

    def kept_open(self) -> AbstractContextManager[None]:
        """Within the block the models are not freed, whatever other threads do."""
        return self._lock.using()

    def vocabulary(self, role: Role) -> Vocabulary:
        """The vocabulary of a role's model."""
        return self._role_context(role).context.model.vocabulary

    def ctx_size(self, role: Role) -> int:
        """How many tokens one conversation of a role may have."""
        return self._role_context(role).context.ctx_size

    def describe(self) -> dict[str, str]:
        """Lines about this pair for a reader: files, contexts, template."""
        with self._lock.using():
            lines: dict[str, str] = {role: model.describe() for role, model in self._models.items()}
        lines["template"] = self.setup.template.name
        return lines

    def prompts_may_use_date(self) -> bool:
        """Whether the date that the pair was opened with could be part of a prompt."""
        with self._lock.using():
            return self._renderer.may_use_date()

    def memory_bytes(self) -> dict[str, int]:
        """Bytes of the models' weights, KV caches and compute buffers, as estimated before loading."""
        parts = [model.memory for model in self._models.values()]
        return {
            name: sum(getattr(part, name) for part in parts) for name in ("weights", "kv_cache", "compute")
        }

    def _notices(self, roles: Sequence[Role]) -> tuple[str, ...]:
        of_models = (notice for role in roles for notice in self._models[role].notices(role))
        return tuple(dict.fromkeys(filter(None, (library().notice, *of_models))))

    def _signature(
        self, prompts: Mapping[Role, Sequence[Span]], settings: GenerationSettings, start: Sequence[Step]
    ) -> dict[str, Any]:
        return {
            **signature(self._models, prompts, settings, start),
            **self._renderer.facts(tuple(prompts)),
            "n_parallel": self.setup.n_parallel,
            "n_lanes": self.setup.n_parallel,  # the old name, written for one more release
        }
