"""A model ready for its role: weights, context, byte table and chat template.

Here: `LoadedModel`, the loading of several with one check of the memory they need together, and whether a
file can be prompted as a guide.
Not here: conversations (`decode.role_context`), which role asks what (`decode.respond`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from blendin_local.core.candidates import TokenTable
from blendin_local.core.roles import GUIDES, Role
from blendin_local.decode.memory_plan import MemoryPlan, context_size, gated_roles, memory_estimate
from blendin_local.decode.parallel_load import Loaded, Stop, can_overlap, load_together
from blendin_local.decode.role_context import RoleContext
from blendin_local.engine.build import ignored_layers
from blendin_local.engine.chat_template.renderer import renderer
from blendin_local.engine.chat_template.template import ChatTemplate
from blendin_local.engine.context import Context
from blendin_local.engine.control_vector import fitting_control_vector, set_control_vector
from blendin_local.engine.gguf.header import Header, read_header
from blendin_local.engine.layer_outputs import LayerReader
from blendin_local.engine.machine import usable_threads
from blendin_local.engine.memory import places
from blendin_local.engine.model import Model
from blendin_local.engine.thread_governor import ThreadGovernor
from blendin_local.engine.trial_cache import TrialCache
from blendin_local.engine.trial_load import require_loadable
from blendin_local.engine.vocabulary_cache import VocabularyCache
from blendin_local.errors import LoadError, PairError
from blendin_local.settings import ModelSettings


def chat_template_text(
    name: object, embedded: str | None, override: str | None, role: Role, hint: str = ""
) -> str:
    """The chat template that a model is prompted with.

    Args:
        name: The model's file, or what the user typed for it.
        embedded: The template in the file, None if it has none.
        override: A template to use instead, None for none.
        role: The model's: a guide always needs one, a base where its own template was asked for.
        hint: The next step where there is neither; empty for the usual one.

    Raises:
        PairError: There is neither.
    """
    text = override or embedded
    if text is None and role in GUIDES:
        raise PairError(
            f"{name} has no chat template, so it cannot be the guide",
            hint or "use an instruct model, or give a template with --guide-chat-template-file",
        )
    if text is None:
        raise PairError(
            f"{name} has no chat template, so --base-template chat cannot be used",
            hint or "leave it out: a plain-text template prompts a base that was not tuned",
        )
    return text


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """A file that is being read.

    Attributes:
        stage: `trial` while a file that is not known yet is loaded in a child process, else `load`.
        role: What the model is for.
        path: The file.
        n_bytes: Its size.
    """

    stage: Literal["trial", "load"]
    role: Role
    path: Path
    n_bytes: int


OnLoad = Callable[[LoadProgress], None]


class LoadedModel:
    """One loaded model with one context. Close it when done.

    Args:
        header: The header of the file, read without loading it.
        settings: The settings it is run with.
        should_stop: Polled while weights are read.
        n_parallel: How many conversations its context has room for.
        governor: Chooses the threads where the settings leave them open.
        vocabularies: Keeps what llama.cpp says of every token; None to ask it.
    """

    def __init__(
        self,
        header: Header,
        settings: ModelSettings,
        should_stop: Callable[[], bool],
        n_parallel: int = 1,
        governor: ThreadGovernor | None = None,
        *,
        vocabularies: VocabularyCache | None = None,
    ) -> None:
        self.path: Path = header.path
        self.settings = settings
        self.threads = settings.threads or usable_threads()
        self.governor = None if settings.threads or settings.reproducible else governor
        vector = self.control_vector = fitting_control_vector(settings.control_vector, header)
        is_gated = vector is not None and vector.gate is not None
        self.memory = memory_estimate(header, settings, n_parallel, is_gated=is_gated)
        self._n_parallel = n_parallel
        self._unsteered: dict[int, RoleContext] = {}
        self._extra_contexts: list[Context] = []
        self._reading = Lock()
        entry = None if vocabularies is None else vocabularies.entry(header)
        self.model = Model(header.path, settings, should_stop, entry)
        try:
            size = context_size(header, settings)
            self.context = Context(self.model, size, self.threads, n_parallel, self.governor)
            if self.control_vector is not None:
                set_control_vector(self.context, self.control_vector)
        except BaseException:
            self.model.close()
            raise
        self.table: TokenTable = self.model.vocabulary.token_table

    @classmethod
    def load_all(
        cls,
        files: Mapping[Role, tuple[Path, ModelSettings]],
        trial_cache: TrialCache,
        should_stop: Callable[[], bool] = lambda: False,
        n_parallel: int = 1,
        on_load: OnLoad = lambda _: None,
        *,
        n_search: int = 0,
        vocabularies: VocabularyCache | None = None,
    ) -> dict[Role, Self]:
        """Load the models of a pair, after checking that all of them fit into memory together.

        Args:
            files: The models, and how they are run.
            trial_cache: Which files have been loaded well before; others are loaded in a child process first.
            should_stop: Polled while weights are read.
            n_parallel: How many conversations each has room for.
            on_load: Called before each file is read, also for its trial; of files that are read at once the
                largest comes last.
            n_search: How many of these a search needs; for what is proposed where memory is too small.
            vocabularies: Keeps what llama.cpp says of every token; None to ask it.

        Raises:
            LoadError: A file is not what it should be, or memory is too small; nothing stays loaded.
            PairError: A control vector does not fit its model.
        """
        headers = {role: _require_usable(read_header(path)) for role, (path, _) in files.items()}
        found = {role: (headers[role], settings) for role, (_, settings) in files.items()}
        gated = gated_roles(found)  # before anything slow, as a vector may not fit
        MemoryPlan(found, places(), n_parallel, n_search, gated).require()
        progress = {role: LoadProgress("load", role, h.path, h.file_size) for role, h in headers.items()}
        of_trial = {each.path: replace(each, stage="trial") for each in progress.values()}
        require_loadable(
            list(found.values()),
            trial_cache,
            should_stop,
            on_trial=lambda header: on_load(of_trial[header.path]),
        )
        if "guide" in files:
            renderer().start()  # it is ready when the weights are
        governor = ThreadGovernor(usable_threads())

        def loader(role: Role) -> Callable[[Stop], Self]:
            header, settings = headers[role], files[role][1]
            return lambda stop: cls(header, settings, stop, n_parallel, governor, vocabularies=vocabularies)

        return _load({role: loader(role) for role in files}, progress, files, should_stop, on_load)

    @cached_property
    def _templates(self) -> dict[tuple[str | None, bool, date], ChatTemplate]:
        return {}

    def chat_template(
        self, source: str | None, thinking: bool, today: date, role: Role = "guide"
    ) -> ChatTemplate:
        """The chat template of this model, or one given instead.

        Args:
            source: A template to use instead, None for the model's.
            thinking: Whether the template enables thinking, if it has such a switch.
            today: The date given to the template.
            role: The model's, for the error.

        Raises:
            PairError: The file has none and none was given.
        """
        key = (source, thinking, today)
        if key not in self._templates:
            text = chat_template_text(self.path, self.model.chat_template, source, role)
            template = ChatTemplate(text, self.model.vocabulary, thinking=thinking, date=today)
            self._templates[key] = template
        return self._templates[key]

    def notices(self, role: Role) -> tuple[str, ...]:
        """Sentences about this model that the user should know."""
        found = [ignored_layers(self.settings.n_gpu_layers)]
        if self.context.rewinder.notice:
            kind = self.model.memory_kind.value
            found.append(f"the {role}'s memory is {kind}: {self.context.rewinder.notice}")
        if self.context.ctx_size > self.model.n_ctx_train:
            found.append(
                f"the {role} was trained on {self.model.n_ctx_train} tokens, less than its context of "
                f"{self.context.ctx_size}"
            )
        return tuple(filter(None, found))

    def role_context(self, number: int) -> RoleContext:
        """A new role context in one of the context's sequences."""
        role_context = RoleContext(self.context, self.context.sequences[number], self.table)
        if self.control_vector is not None:
            role_context.unsteered = lambda: self._unsteered_context(number)
        return role_context

    def _unsteered_context(self, number: int) -> RoleContext:
        if number not in self._unsteered:
            context, table = self._plain_context, self.table
            self._unsteered[number] = RoleContext(context, context.sequences[number], table)
        return self._unsteered[number]

    @cached_property
    def _plain_context(self) -> Context:
        """A second context, without the control vector; made when it is first needed."""
        size = self.context.ctx_size
        made = Context(self.model, size, self.threads, self._n_parallel, self.governor)
        self._extra_contexts.append(made)
        return made

    @cached_property
    def _layer_reader(self) -> LayerReader:
        made = self.layer_reader(self.context.ctx_size)
        self._extra_contexts.append(made)
        return made

    def layer_outputs(self, ids: Sequence[int], should_stop: Callable[[], bool]) -> NDArray[np.float32]:
        """The outputs of all layers after a prompt, without the control vector; from any thread.

        Arguments, result and errors: `LayerReader.last_token`.
        """
        with self._reading:
            return self._layer_reader.last_token(ids, should_stop)

    def layer_reader(self, ctx_size: int) -> LayerReader:
        """A context of its own for the states of this model's layers; close it before the model."""
        return LayerReader(self.model, ctx_size, self.threads)

    def describe(self) -> str:
        """One line for a reader."""
        kind = self.model.memory_kind.value
        threads = f"{self.threads} threads" if self.governor is None else f"up to {self.threads} threads"
        layers = self.model.n_offloaded
        on_gpu = f", {layers} of {self.model.n_layers + 1} layers on a GPU" if layers else ""
        vector = self.control_vector
        steered = "" if vector is None else f", control vector {vector.path.name} at {vector.scale:g}"
        steered += "" if vector is None or vector.layers is None else f", layers {vector.layers}"
        return f"{self.path.name}, context {self.context.ctx_size}, {threads}{on_gpu}, {kind}{steered}"

    def signature(self) -> dict[str, Any]:
        """What identifies this model in a record: the file, its most threads and its settings."""
        status = self.path.stat()
        settings = {name: value for name, value in asdict(self.settings).items() if name != "control_vector"}
        if self.control_vector is not None:
            settings["control_vector"] = self.control_vector.facts()
        return {
            "file": self.path.name,
            "size": status.st_size,
            "mtime": status.st_mtime,
            **settings,
            "ctx_size": self.context.ctx_size,
            "prefill_chunk": self.context.prefill_chunk,
            "offloaded": self.model.n_offloaded,
            "threads": self.threads,
            "threads_auto": self.governor is not None,
        }

    def close(self) -> None:
        """Free the contexts, then the weights."""
        for context in (self.context, *self._extra_contexts):
            context.close()
        self.model.close()


def _load(
    loaders: Mapping[Role, Callable[[Stop], Loaded]],
    progress: Mapping[Role, LoadProgress],
    files: Mapping[Role, tuple[Path, ModelSettings]],
    should_stop: Stop,
    on_load: OnLoad,
) -> dict[Role, Loaded]:
    """At once where that helps; what fails then is tried again alone, so that the reason is its own."""
    if can_overlap([settings for _, settings in files.values()]):
        *_, largest = by_size = sorted(loaders, key=lambda role: progress[role].n_bytes)
        for role in by_size:
            on_load(progress[role])
        with suppress(LoadError):
            return load_together(loaders, largest, should_stop)
    models: dict[Role, Loaded] = {}
    try:
        for role, load in loaders.items():
            on_load(progress[role])
            models[role] = load(should_stop)
    except BaseException:
        for loaded in models.values():
            loaded.close()
        raise
    return models


def load_models(
    files: Mapping[Role, tuple[Path, ModelSettings]],
    caches: tuple[TrialCache, VocabularyCache],
    should_stop: Callable[[], bool],
    n_parallel: int,
    on_load: OnLoad,
    *,
    n_search: int = 0,
) -> dict[Role, LoadedModel]:
    """`LoadedModel.load_all` with both caches; a KeyboardInterrupt says what was stopped."""
    trial_cache, vocabularies = caches
    try:
        return LoadedModel.load_all(
            files,
            trial_cache,
            should_stop,
            n_parallel,
            on_load,
            n_search=n_search,
            vocabularies=vocabularies,
        )
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("stopped by you while the models were loaded") from stop


def _require_usable(header: Header) -> Header:
    """A model that continues text, seen before its weights are loaded."""
    if header.unusable:
        raise PairError(
            f"{header.path} is {header.unusable}, which does not continue text",
            "use a decoder-only model such as Llama, Gemma or Qwen",
        )
    return header
