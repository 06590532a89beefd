"""A pair that answers at once and never the same way round, and batches on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from blendin_local.core.records import Completion
from blendin_local.errors import BlendinError, ContextFullError
from blendin_local.jobs.batch.batch import Batch
from blendin_local.jobs.batch.manifest import Identity
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import BatchOptions, BatchProgress
from blendin_local.jobs.batch.rows import InvalidRow
from blendin_local.jobs.batch.scan import Scan, scan_rows
from blendin_local.jobs.request_values import RequestDefaults
from blendin_local.pair.pair import Request
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from tests.answers import asked_step, base_step, completion

DEFAULTS = RequestDefaults(BlendSettings(), SamplingSettings(), AnswerSettings())


@dataclass
class ScriptedAnswers:
    """Answers `Re: QUESTION`; a question with `fail` in it has no answer.

    Attributes:
        parallel: Rows at once; of these the last begun is finished first.
        stop_after: Rows after which somebody asks it to stop.
    """

    parallel: int = 1
    stop_after: int | None = None
    seen: list[Request] = field(default_factory=list)
    tokens_evaluated: int = 0

    def answer_all(
        self,
        requests: Iterable[Request],
        *,
        should_stop: Callable[[], bool] = lambda: False,
        watch: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[Request, Completion | BlendinError]]:
        source = iter(requests)
        while live := list(islice(source, self.parallel)):
            for request in reversed(live):
                if should_stop() or (self.stop_after is not None and len(self.seen) >= self.stop_after):
                    yield request, completion(stopped_by="user")
                    return
                self.seen.append(request)
                self.tokens_evaluated += 3
                watch()
                yield request, answered(request)


def answered(request: Request) -> Completion | BlendinError:
    question = request.messages[-1].text
    if "fail" in question:
        return ContextFullError(n_prompt=9, n_ctx=8, role="base")
    return completion(base_step(0, b"Re:"), asked_step(1, b" " + question.encode()))


class ForgetfulAnswers(ScriptedAnswers):
    """The same, without a memory of what was asked."""

    def answer_all(
        self,
        requests: Iterable[Request],
        *,
        should_stop: Callable[[], bool] = lambda: False,
        watch: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[Request, Completion | BlendinError]]:
        for request in requests:
            yield request, answered(request)


def write_rows(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def questions(n: int, text: str = "question") -> list[dict[str, str]]:
    return [{"custom_id": f"id-{i}", "prompt": f"{text} é {i}"} for i in range(n)]


def scan(
    path: Path, field_name: str | None = None, defaults: RequestDefaults = DEFAULTS
) -> tuple[Scan, list[InvalidRow]]:
    faults: list[InvalidRow] = []
    return scan_rows(path, field_name, defaults, faults.append), faults


@contextmanager
def opened(
    source: Path, out: Path, options: BatchOptions | None = None, settings: dict[str, object] | None = None
) -> Iterator[Batch]:
    found, _ = scan(source)
    identity = Identity({"sha256": found.sha256}, {}, settings or {"threshold": 0.4})
    with Batch.open(found, BatchPaths.of(source, out), options or BatchOptions(), identity, {}) as batch:
        yield batch


def run(
    source: Path,
    out: Path,
    pair: ScriptedAnswers | None = None,
    options: BatchOptions | None = None,
    **settings: object,
) -> BatchProgress:
    with opened(source, out, options, settings or None) as batch:
        return batch.answer(pair or ScriptedAnswers(), lambda: False, lambda _: None)


def lines(path: Path) -> list[dict[str, object]]:
    """Every line, each of which has to be whole."""
    data = path.read_bytes()
    assert data == b"" or data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def ids(path: Path) -> list[str]:
    return [str(line["custom_id"]) for line in lines(path)]
