"""Many requests to one pair: in shared batches, and those with a search one after another.

Here: `answer_requests`.
Not here: shared batches (`decode.scheduler`), one search (`decode.search`).
A search uses all sequences of a pair by itself, so it waits until the answers before it are finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from blendin_local.core.records import Completion
from blendin_local.decode.request import PreparedRequest, Request, RoleContexts, start_request
from blendin_local.decode.scheduler import answer_many
from blendin_local.decode.search import search
from blendin_local.decode.stats import GenerationStats
from blendin_local.errors import BlendinError, UnforeseenError


def answer_requests(
    requests: Iterable[Request],
    prepare: Callable[[Request], PreparedRequest],
    slots: Sequence[RoleContexts],
    should_stop: Callable[[], bool],
    watch: Callable[[], None],
) -> Iterator[tuple[Request, Completion | BlendinError]]:
    """Answer requests; arguments and what is yielded are those of `decode.scheduler.answer_many`."""
    for searches, group in groupby(requests, lambda request: request.sampling.search is not None):
        if searches:
            for request in group:
                yield request, _found(request, prepare, slots, should_stop)
                watch()
                if should_stop():
                    return
        else:
            yield from answer_many(group, prepare, slots, should_stop, watch)
        if should_stop():
            return


def _found(
    request: Request,
    prepare: Callable[[Request], PreparedRequest],
    slots: Sequence[RoleContexts],
    should_stop: Callable[[], bool],
) -> Completion | BlendinError:
    """The answer of a search, or the error that it met."""
    try:
        prepared = prepare(request)
        role_contexts = start_request(prepared, slots[0], fresh=True)
        stats = GenerationStats(prepared, role_contexts)
        steps = search(prepared, slots, should_stop)
        while True:
            try:
                stats.note(next(steps))
            except StopIteration as finished:
                return stats.close(*finished.value)
    except BlendinError as error:
        return error
    except Exception as error:  # noqa: BLE001 - as in `decode.active_request`: one row must not end the run
        return UnforeseenError(error)
