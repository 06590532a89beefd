"""A pair opened for a command: options to settings, missing files fetched, progress shown.

Here: `open_session` and `Session`, which asks with the settings of the command line; the two steps before it,
`prepare` and `fetch_files`, for commands that have something to do in between.
Not here: options (`cli.common.options`), what a request means (`opening`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from blendin_local.cli.common.asking import acceptance, ask, can_ask, fetch_text
from blendin_local.cli.common.downloads import download_bars
from blendin_local.cli.common.interrupt import ordinary_interrupts
from blendin_local.cli.common.options import ModelOptions, SessionOptions
from blendin_local.cli.common.values import day, read_text
from blendin_local.core.methods import METHODS, Role, roles_of
from blendin_local.decode.stream import AnswerStream
from blendin_local.models.local import ensure_local
from blendin_local.models.references import Resolved
from blendin_local.models.registry import Registry, load_registry
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import PairRequest, ResolvedPair, plan
from blendin_local.pair.setup import PairSetup
from blendin_local.settings import AnswerSettings, SamplingSettings


@dataclass(frozen=True)
class Session:
    """An open pair with the settings of the command line."""

    pair: Pair
    plan: ResolvedPair
    system: str
    sampling: SamplingSettings
    answer: AnswerSettings

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the opened models allow."""
        return tuple(name for name in METHODS if set(roles_of(name)) <= set(self.plan.references))

    def ask(self, question: str, should_stop: Callable[[], bool]) -> AnswerStream:
        """Answer one question."""
        return self.pair.stream(
            question,
            system=self.system,
            blend=self.plan.blend,
            sampling=self.sampling,
            answer=self.answer,
            should_stop=should_stop,
        )

    def keeping_evidence(self) -> Session:
        """The same, with answers that can be decided again."""
        return replace(self, answer=replace(self.answer, evidence=True))

    def prompts(self, question: str, should_stop: Callable[[], bool] = lambda: False) -> Mapping[str, str]:
        """The rendered prompt of each role."""
        return self.pair.prompts(question, self.system, should_stop)


@dataclass(frozen=True)
class Prepared:
    """All settings of a command line, before anything is fetched or loaded."""

    registry: Registry
    plan: ResolvedPair
    system: str
    sampling: SamplingSettings
    answer: AnswerSettings


def prepare(options: SessionOptions, err: Console, *, both: bool = False) -> Prepared:
    """Settle all settings; wrong ones are known before anything is loaded.

    Args:
        options: Of the command line.
        err: Is told which pair was taken where none was named.
        both: Whether both models are meant where the method needs only one.
    """
    registry = load_registry(options.models.models, accept=acceptance(err))
    opened = plan(_request(options, both=both), registry)
    sampling = SamplingSettings(**options.sampling.settings())
    given = {"max_tokens": opened.max_tokens} if opened.max_tokens else {}
    answer = AnswerSettings(**{**given, **options.answer.settings()})
    said = options.answer.system_text()
    system = opened.system if said is None else said
    if opened.chosen_for_user:
        names = dict(opened.references)
        against = f" against {names.pop('anti')}" if "anti" in names else ""
        models_of_it = " guided by ".join(names.values()) + against
        err.print(f"no model named: using the pair {opened.pair_name} ({models_of_it})", style="footer")
    return Prepared(registry, opened, system, sampling, answer)


def as_begun(prepared: Prepared, date: datetime.date | None) -> Prepared:
    """The settings with the date of the first run, None where there was none, unless the user named one."""
    if date is None or prepared.plan.request.date is not None:
        return prepared
    return replace(prepared, plan=replace(prepared.plan, date=date))


def fetch_files(
    prepared: Prepared, models: ModelOptions, roles: Collection[Role], err: Console
) -> dict[Role, Path]:
    """The files of these roles, fetched where that was asked for."""
    references = {role: name for role, name in prepared.plan.references.items() if role in roles}
    with ordinary_interrupts(), download_bars(err) as bars:
        paths = ensure_local(
            list(references.values()),
            prepared.registry,
            pull=models.pull,
            offline=models.offline,
            ask=_asker(err),
            progress=bars.listener,
            note=bars.note,
            distrusted=prepared.registry.distrusted(prepared.plan.pair_name),
        )
    return {role: paths[reference] for role, reference in references.items()}


@contextmanager
def open_session(
    options: SessionOptions, err: Console, should_stop: Callable[[], bool], *, both: bool = False
) -> Iterator[Session]:
    """Settle all settings, then open the pair.

    Args:
        options: Of the command line.
        err: For what is not the answer.
        should_stop: Polled while weights are read.
        both: Whether to open both models where the method needs only one.
    """
    ready = prepare(options, err, both=both)
    paths = fetch_files(ready, options.models, tuple(ready.plan.references), err)
    with Pair(ready.plan.setup(paths), should_stop) as pair:
        yield Session(pair, ready.plan, ready.system, ready.sampling, ready.answer)


def _request(options: SessionOptions, *, both: bool) -> PairRequest:
    models, runtime = options.models, options.runtime
    return PairRequest(
        pair=models.pair,
        base=models.base,
        guide=models.guide,
        anti=models.anti,
        base_template=models.base_template,
        exact_prompts=_exact_prompts(models),
        guide_template=read_text(models.guide_chat_template_file),
        thinking=models.think,
        date=day("--date", models.date),
        base_settings=runtime.settings("base"),
        guide_settings=runtime.settings("guide"),
        blend=options.blend.settings(),
        both=both,
    )


def _exact_prompts(models: ModelOptions) -> dict[Role, str]:
    files: dict[Role, Any] = {"base": models.base_prompt_file, "guide": models.guide_prompt_file}
    return {role: text for role, path in files.items() if (text := read_text(path)) is not None}


def _asker(err: Console) -> Callable[[Sequence[Resolved]], bool] | None:
    """A question on the terminal, or None where nobody could answer."""
    if not can_ask(err):
        return None

    def asker(missing: Sequence[Resolved]) -> bool:
        if not missing:
            return False
        for item in missing:
            if not item.trusted:
                err.print(fetch_text(item), style="warning", markup=False, highlight=False)
        sizes = [item.entry.size if item.entry else 0 for item in missing]
        size = f" ({sum(sizes) / 1e6:.0f} MB)" if all(sizes) else ""
        names = " and ".join(item.reference for item in missing)
        return ask(f"Not on this machine: {names}{size}. Fetch now?", err)

    return asker


def open_for_rows(setup: PairSetup, should_stop: Callable[[], bool]) -> Pair:
    """A pair for many rows: a guide without a template is refused here, not once for every row."""
    pair = Pair(setup, should_stop)
    try:
        pair.prompts("?", should_stop=should_stop)
    except BaseException:
        pair.close()
        raise
    return pair
