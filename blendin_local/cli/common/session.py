"""A pair opened for a command: options to a spec, missing files downloaded, progress shown.

Here: `pair_spec`, what the options ask for; `interaction`, the callbacks to the user at the terminal;
`settle`, which resolves the spec; `open_session`, `open_resolved` and `Session`, which answers with the
command's settings.
Not here: options (`cli.common.options`), what a spec means (`pair.resolve`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from blendin_local.cli.common.asking import acceptance, ask, can_ask, fetch_text
from blendin_local.cli.common.downloads import download_bars
from blendin_local.cli.common.imports_beside import ImportsBeside
from blendin_local.cli.common.interrupt import ordinary_interrupts
from blendin_local.cli.common.options import ModelOptions, SessionOptions
from blendin_local.cli.common.printing import print_note
from blendin_local.cli.common.status import StatusLine
from blendin_local.cli.common.values import day, read_text
from blendin_local.core.methods import Role
from blendin_local.core.prompts import Message, as_messages
from blendin_local.decode.loaded_model import LoadProgress
from blendin_local.decode.stream import AnswerStream
from blendin_local.jobs.preparation import default_pair_note
from blendin_local.models.licenses import license_text
from blendin_local.models.references import Resolved
from blendin_local.models.store import Progress
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import Interaction, PairSpec, ResolvedPair, locate_files, resolve_pair
from blendin_local.pair.roles import check_roles
from blendin_local.settings import AnswerSettings


@dataclass(frozen=True)
class Session:
    """An open pair with the settings of the command line."""

    pair: Pair
    resolved: ResolvedPair
    answer: AnswerSettings

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the opened models allow."""
        return self.resolved.methods

    def ask(self, question: str, should_stop: Callable[[], bool]) -> AnswerStream:
        """Answer one question."""
        return self.pair.stream(
            question,
            system=self.resolved.system,
            blend=self.resolved.blend,
            sampling=self.resolved.sampling,
            answer=self.answer,
            should_stop=should_stop,
        )

    def messages(self, question: str) -> list[Message]:
        """The conversation that is answered; empty if only exact prompts are."""
        return as_messages(question, self.resolved.system) if question.strip() else []

    def keeping_evidence(self) -> Session:
        """The same, with answers that can be replayed."""
        return replace(self, answer=replace(self.answer, evidence=True))

    def prompts(self, question: str, should_stop: Callable[[], bool] = lambda: False) -> Mapping[str, str]:
        """The rendered prompt of each role."""
        return self.pair.prompts(question, self.resolved.system, should_stop, answer=self.answer)


def pair_spec(options: SessionOptions, *, every_model: bool = False) -> PairSpec:
    """What the options ask for; `every_model` as in `PairSpec`.

    Raises:
        UsageError: An option has a wrong value, or a file it names cannot be read.
    """
    models, runtime = options.models, options.runtime
    names = {each.name for each in fields(ModelOptions)} & {each.name for each in fields(PairSpec)}
    given: dict[str, Any] = {name: getattr(models, name) for name in names}
    given["date"] = day("--date", models.date)
    return PairSpec(
        **given,
        exact_prompts=_exact_prompts(models),
        guide_template=read_text(models.guide_chat_template_file),
        system=options.answer.system_text(),
        base_settings=runtime.settings_for("base"),
        guide_settings=runtime.settings_for("guide"),
        blend=options.blend.settings(),
        sampling=options.sampling.settings(),
        answer=options.answer.settings(),
        every_model=every_model,
    )


def _exact_prompts(models: ModelOptions) -> dict[Role, str]:
    files: dict[Role, Path | None] = {"base": models.base_prompt_file, "guide": models.guide_prompt_file}
    return {role: text for role, path in files.items() if (text := read_text(path)) is not None}


def interaction(err: Console) -> Interaction:
    """The callbacks to the user at this terminal."""
    told: set[str] = set()  # references whose licence the question has shown

    @contextmanager
    def downloads() -> Iterator[Callable[[Resolved], Progress]]:
        with ordinary_interrupts(), download_bars(err, told) as bars:
            yield bars.start

    def note(sentence: str) -> None:
        print_note(err, sentence)

    return Interaction(acceptance(err), _confirm_download(err, told), downloads, note)


def note_default_pair(resolved: ResolvedPair, err: Console) -> None:
    """Say which pair is used if none was named."""
    if resolved.is_default:
        err.print(default_pair_note(resolved), style="footer")


def settle(options: SessionOptions, err: Console, *, every_model: bool = False) -> ResolvedPair:
    """Resolve what the options ask for; wrong settings are errors before anything is loaded.

    Args:
        options: Those of the command line.
        err: Where the pair is printed that is used if none was named.
        every_model: As in `PairSpec`.
    """
    resolved = resolve_pair(pair_spec(options, every_model=every_model), accept=acceptance(err))
    note_default_pair(resolved, err)
    return resolved


@contextmanager
def open_session(
    options: SessionOptions,
    status: StatusLine,
    should_stop: Callable[[], bool],
    *,
    every_model: bool = False,
    needed_later: Sequence[str] = (),
) -> Iterator[Session]:
    """Resolve all settings, then open the pair.

    Args:
        options: Those of the command line.
        status: Shows which file is read; its console is for everything but the answer.
        should_stop: Polled while weights are read.
        every_model: Whether to open every model that is named, also if the method needs fewer.
        needed_later: Modules that are imported while the weights are read.
    """
    status.clear()  # there may be a question
    resolved = settle(options, status.console, every_model=every_model)
    with open_resolved(resolved, status, should_stop, needed_later) as session:
        yield session


@contextmanager
def open_resolved(
    resolved: ResolvedPair,
    status: StatusLine,
    should_stop: Callable[[], bool],
    needed_later: Sequence[str] = (),
) -> Iterator[Session]:
    """Open a pair whose settings are resolved; the other arguments are those of `open_session`."""
    to_user = interaction(status.console)
    paths = locate_files(resolved, None, to_user)
    for notice in check_roles(resolved, paths):
        to_user.note(f"note: {notice}")
    beside = ImportsBeside(needed_later)

    def on_load(progress: LoadProgress) -> None:
        status.show_loading(progress)
        if progress.stage == "load":
            beside.start()

    with Pair(resolved.setup.with_files(paths), should_stop, on_load) as pair:
        yield Session(pair, resolved, resolved.answer)


def _confirm_download(err: Console, told: set[str]) -> Callable[[Sequence[Resolved]], bool] | None:
    """A question on the terminal, after each licence; None if there is no terminal.

    Args:
        err: Where it is asked.
        told: Is given the references whose licence was shown.
    """
    if not can_ask(err):
        return None

    def confirm(missing: Sequence[Resolved]) -> bool:
        if not missing:
            return False
        for item in missing:
            if not item.trusted:
                err.print(fetch_text(item), style="warning", markup=False, highlight=False)
            print_note(err, license_text(item))
            told.add(item.reference)
        sizes = [item.entry.size if item.entry else 0 for item in missing]
        size = f" ({sum(sizes) / 1e6:.0f} MB)" if all(sizes) else ""
        names = " and ".join(item.reference for item in missing)
        return ask(f"Not on this machine: {names}{size}. Download now?", err)

    return confirm
