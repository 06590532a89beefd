"""Errors as OpenAI's clients expect them.

Here: `HttpError`, an error that has no other place; `failure`, from any error to status and JSON object.
Not here: the errors themselves (`blendin_local.errors`).
Source: OpenAI's error object, `{"error": {"message", "type", "param", "code"}}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from blendin_local.errors import (
    BlendinError,
    ContextFullError,
    PairError,
    ServiceError,
    UsageError,
)

RETRY_AFTER_S = 2
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    503: "unavailable_error",
}


class HttpError(BlendinError):
    """A request that is refused for a reason of HTTP.

    Args:
        status: The status code.
        message: What is wrong, with the value.
        hint: The next step.
        code: A word for programs.
        param: The field of the request that is wrong.
    """

    def __init__(self, status: int, message: str, hint: str = "", *, code: str = "", param: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.word = code
        self.param = param


@dataclass(frozen=True)
class Failure:
    """An error as it is sent.

    Attributes:
        status: The status code.
        body: The JSON object.
        headers: More headers.
    """

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def failure(error: BlendinError) -> Failure:
    """Status, JSON object and headers of an error."""
    status = _status(error)
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    fields = {
        "message": message,
        "type": TYPES.get(status, "server_error"),
        "param": getattr(error, "param", "") or None,
        "code": _code(error),
    }
    if isinstance(error, ContextFullError):
        fields |= {"n_prompt_tokens": error.n_prompt, "n_ctx": error.n_ctx}  # as llama-server has them
    headers = {"retry-after": str(RETRY_AFTER_S)} if status == 503 else {}
    return Failure(status, {"error": fields}, headers)


def _status(error: BlendinError) -> int:
    if isinstance(error, HttpError):
        return error.status
    if isinstance(error, ServiceError):
        return 503
    return 400 if isinstance(error, UsageError | PairError) else 500


def _code(error: BlendinError) -> str:
    if isinstance(error, ContextFullError):
        return "context_length_exceeded"
    return getattr(error, "word", "") or error.code
