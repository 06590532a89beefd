"""Reading a definition in a child process with limits on time and memory.

Here: `read_bounded`, and the child itself when this module is run.
Not here: which definitions need it (`grammar.compilation`).
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict

from blendin_local.bounded_process import MIB, BoundedProcess, BoundedProcessError, serve
from blendin_local.errors import UsageError
from blendin_local.grammar.definition import Definition
from blendin_local.grammar.messages import too_large

MAX_SECONDS = 1.5
MAX_BYTES = 400 * MIB
STACK_BYTES = 2**20
"""Of the thread that reads in the child: what passes there overflows no thread's stack here."""


def read_bounded(definition: Definition) -> str:
    """As `grammar.reading.read_definition`; beyond the limits it is refused.

    Raises:
        UsageError: It is invalid, not supported, or takes too much time or memory.
    """
    process = BoundedProcess(__name__, MAX_BYTES)
    try:
        answer = json.loads(process.ask(json.dumps(asdict(definition)).encode(), MAX_SECONDS))
    except BoundedProcessError:
        raise too_large(definition) from None
    finally:
        process.close()
    if "message" in answer:
        raise UsageError(answer["message"], answer["hint"])
    if "grammar" not in answer:  # it failed in a way that llguidance did not foresee
        raise too_large(definition)
    grammar: str = answer["grammar"]
    return grammar


def _answer(request: bytes) -> bytes:
    """The child's answer, made in a thread with a small stack."""
    found: dict[str, str] = {}
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=_read, args=(Definition(**json.loads(request)), found))
    thread.start()
    thread.join()
    return json.dumps(found).encode()


def _read(definition: Definition, found: dict[str, str]) -> None:
    from blendin_local.grammar.reading import read_definition  # noqa: PLC0415 - only the child needs it

    try:
        found["grammar"] = read_definition(definition)
    except UsageError as error:
        found |= {"message": error.message, "hint": error.hint}
    except (MemoryError, RecursionError):
        beyond = too_large(definition)
        found |= {"message": beyond.message, "hint": beyond.hint}


if __name__ == "__main__":
    serve(_answer)
