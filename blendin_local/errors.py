"""All errors that a user can see, in one tree; each class has an exit code.

    BlendinError            1   an exception outside this tree is a bug
    ├── UsageError          2   an option, a prompt or a settings file is invalid
    ├── ModelNotFoundError  3   no such file, name or reference, or offline and missing
    │   └── FetchError      3   the file could not be downloaded or does not match its checksum
    ├── LoadError           4   llama.cpp could not load the file, or memory is too small
    ├── PairError           5   the models load but cannot be used as requested
    │   └── ContextFullError 5  the prompt or the conversation is longer than the context
    ├── RowsFailedError     6   a batch finished, but some rows have no answer
    ├── ServiceError        7   a server cannot take a request now
    │   ├── QueueFullError  7   too many requests are waiting
    │   └── ServiceStoppedError 7  it is stopping
    ├── WriteError          1   a file cannot be written; everything finished is kept
    ├── HistoryError        1   the history cannot be read or written
    └── UnforeseenError     1   a bug in one answer among many; the others continue

Here: the classes and their codes.
Not here: how an error is shown (`cli/app.py`, the one border where they are caught).
"""

from __future__ import annotations

from typing import ClassVar


class BlendinError(Exception):
    """An error with a one-line message for the user.

    Attributes:
        message: What is wrong, with the value.
        hint: The next step; may be empty.
        exit_code: The exit status of the command line.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BlendinError):
    """An option, prompt or settings file is invalid."""

    exit_code = 2
    code = "usage"


class ModelNotFoundError(BlendinError):
    """A model is not where the reference says, or cannot be reached."""

    exit_code = 3
    code = "model_not_found"


class FetchError(ModelNotFoundError):
    """A model could not be downloaded, or does not match its checksum."""

    code = "fetch_failed"


class LoadError(BlendinError):
    """A model file cannot be loaded, or there is too little memory for it."""

    exit_code = 4
    code = "load_failed"


class PairError(BlendinError):
    """The models load but cannot be used as requested (no template, no decoder, prompt too long)."""

    exit_code = 5
    code = "pair_unusable"


class ContextFullError(PairError):
    """More tokens than the context holds.

    Attributes:
        n_prompt: Tokens of the prompt.
        n_ctx: Tokens of the context.
    """

    code = "context_full"

    def __init__(self, *, n_prompt: int, n_ctx: int, role: str = "") -> None:
        prompt = f"{role} prompt" if role else "prompt"
        super().__init__(
            f"the {prompt} has {n_prompt} tokens, but the context holds {n_ctx}",
            "raise --ctx-size, or shorten the prompt",
        )
        self.n_prompt = n_prompt
        self.n_ctx = n_ctx


class RowsFailedError(BlendinError):
    """A batch finished, but some of its rows have no answer."""

    exit_code = 6
    code = "rows_failed"


class ServiceError(BlendinError):
    """A server cannot take a request now."""

    exit_code = 7
    code = "unavailable"


class QueueFullError(ServiceError):
    """Too many requests are waiting.

    Args:
        n_waiting: How many.
        max_waiting: How many may wait.
    """

    code = "queue_full"

    def __init__(self, n_waiting: int, max_waiting: int) -> None:
        super().__init__(
            f"{n_waiting} requests are waiting, and no more than {max_waiting} may", "ask again later"
        )


class ServiceStoppedError(ServiceError):
    """The server is stopping, or the request was cancelled before it began."""

    code = "stopped"

    def __init__(self, message: str = "the server is stopping") -> None:
        super().__init__(message, "ask again when it is running")


class WriteError(BlendinError):
    """A file cannot be written: a full disk, a quota, a device that disappeared."""

    code = "cannot_write"


class HistoryError(BlendinError):
    """The file of the history cannot be read or written: damaged, locked, of a newer version.

    Attributes:
        passing: Whether it may work the next time, because another program holds the file at the moment.
    """

    code = "history"

    def __init__(self, message: str, hint: str = "", *, passing: bool = False) -> None:
        super().__init__(message, hint)
        self.passing = passing


class UnforeseenError(BlendinError):
    """A bug in one answer among many; it fails that answer and no other.

    Args:
        cause: What was raised.
        hint: What to do next.
    """

    code = "bug"

    def __init__(
        self, cause: BaseException, hint: str = "please report it; --retry-errors asks again"
    ) -> None:
        super().__init__(f"this is a bug: {type(cause).__name__}: {cause}", hint)
        self.__cause__ = cause
