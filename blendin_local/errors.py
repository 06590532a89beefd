"""Every failure a user can meet, in one tree; each class has an exit code.

    BlendinError            1   a fault nobody foresaw is not in this tree: it is a bug
    ├── UsageError          2   an option, a prompt or a file of settings is not right
    ├── ModelNotFoundError  3   no such file, name or reference, or offline and not here
    │   └── FetchError      3   the file could not be fetched or does not match its checksum
    ├── LoadError           4   llama.cpp could not load the file, or memory is too small
    ├── PairError           5   the models load but cannot be used as asked
    │   └── ContextFullError 5  the prompt or the conversation is longer than the context
    ├── RowsFailedError     6   a batch went through, but some rows have no answer
    ├── WriteError          1   the disk is full or refuses; what was finished is kept
    └── UnforeseenError     1   a bug that one answer among many met; the others go on

Here: the classes and their codes.
Not here: how an error is shown (`cli/app.py`, the one border where they are caught).
"""

from __future__ import annotations

from typing import ClassVar


class BlendinError(Exception):
    """A failure with one clear line for the user.

    Attributes:
        message: What is wrong, with the offending value.
        hint: What to do next; may be empty.
        exit_code: The exit status of the command line.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BlendinError):
    """An option, prompt or settings file is not right."""

    exit_code = 2
    code = "usage"


class ModelNotFoundError(BlendinError):
    """A model is not where the reference says, or cannot be reached."""

    exit_code = 3
    code = "model_not_found"


class FetchError(ModelNotFoundError):
    """A model could not be fetched, or what came does not match its checksum."""

    code = "fetch_failed"


class LoadError(BlendinError):
    """A model file cannot be loaded, or there is too little memory for it."""

    exit_code = 4
    code = "load_failed"


class PairError(BlendinError):
    """The models load but cannot be used as asked (no template, no decoder, prompt too long)."""

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
    """A batch went through, but some of its rows have no answer."""

    exit_code = 6
    code = "rows_failed"


class WriteError(BlendinError):
    """A file cannot be written: a full disk, a quota, a device that went away."""

    code = "cannot_write"


class UnforeseenError(BlendinError):
    """A bug that one answer among many met: it costs that answer and no other.

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
