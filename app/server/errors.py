"""What errors are over HTTP: one table from error class to status, type and code. `error_shape` writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from app.domain import errors

__all__ = ["INTERNAL_PROBLEM", "STOPPING_PROBLEM", "KnownProblem", "Problem", "http_problem", "known_problems", "problem_of"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One refused or failed request, as clients see it. `type` and `code` are OpenAI's words where it has one."""

    status: int
    message: str
    type: str
    code: str | None = None
    param: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def body(self) -> dict[str, Any]:
        """In OpenAI's shape."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


@dataclass(frozen=True, slots=True)
class _Row:
    status: int
    type: str
    code: str | None
    headers: tuple[tuple[str, str], ...] = ()
    param: str | None = None


# The official clients send 5xx again, twice: a request that killed the model's process must not kill it three times.
_NO_RETRY = (("x-should-retry", "false"),)

_TABLE: Mapping[type[errors.AppError], _Row] = MappingProxyType(
    {
        errors.RequestError: _Row(400, "invalid_request_error", None),
        errors.InvalidRequest: _Row(400, "invalid_request_error", "invalid_value"),
        errors.UnsupportedParameter: _Row(400, "invalid_request_error", "unsupported_parameter"),
        errors.UnsupportedContent: _Row(400, "invalid_request_error", "unsupported_content"),
        errors.ContextOverflow: _Row(400, "invalid_request_error", "context_length_exceeded"),
        errors.AnswerOverflow: _Row(400, "invalid_request_error", "context_length_exceeded"),
        errors.ModelNotFound: _Row(404, "invalid_request_error", "model_not_found"),
        errors.ResponseNotFound: _Row(404, "invalid_request_error", "response_not_found"),
        errors.PreviousResponseNotFound: _Row(400, "invalid_request_error", "previous_response_not_found"),
        errors.EngineError: _Row(500, "server_error", "engine_error", _NO_RETRY),
        # The request names a model that can't be used here: another model, or another file, is what helps.
        errors.ModelLoadFailed: _Row(400, "invalid_request_error", "model_load_failed", _NO_RETRY, "model"),
        errors.EngineBusy: _Row(429, "rate_limit_error", "rate_limit_exceeded"),
        errors.EngineStopped: _Row(503, "server_error", "engine_stopped", (("retry-after", "1"),)),
        errors.EngineCrashed: _Row(500, "server_error", "engine_crashed", _NO_RETRY),
        errors.GenerationFailed: _Row(500, "server_error", "generation_failed", _NO_RETRY),
        errors.NotAModel: _Row(400, "invalid_request_error", "model_load_failed", _NO_RETRY, "model"),
        errors.AppError: _Row(500, "server_error", "internal_error", _NO_RETRY),
    }
)

# What the framework refuses by itself, and what the routes refuse before there is a request to speak of.
_HTTP: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        400: ("invalid_request_error", "bad_request"),
        401: ("invalid_request_error", "invalid_api_key"),
        403: ("invalid_request_error", "forbidden"),
        404: ("invalid_request_error", "unknown_url"),
        405: ("invalid_request_error", "method_not_allowed"),
        408: ("invalid_request_error", "request_timeout"),
        413: ("invalid_request_error", "request_too_large"),
        415: ("invalid_request_error", "unsupported_media_type"),
        431: ("invalid_request_error", "headers_too_large"),
        499: ("invalid_request_error", "client_closed_request"),
        503: ("server_error", "shutting_down"),
    }
)


def http_problem(status: int, message: str, *, headers: tuple[tuple[str, str], ...] = ()) -> Problem:
    """A problem of the HTTP exchange itself rather than of what was asked."""
    kind, code = _HTTP.get(status, ("server_error", None) if status >= 500 else ("invalid_request_error", None))
    return Problem(status, message, kind, code, headers=headers)


INTERNAL_PROBLEM = Problem(
    500,
    "Something went wrong inside Hearth. Its log has the details under this answer's x-request-id.",
    "server_error",
    "internal_error",
    headers=_NO_RETRY,
)
STOPPING_PROBLEM = http_problem(503, "The server is being switched off.", headers=(("retry-after", "2"),))


@dataclass(frozen=True, slots=True)
class KnownProblem:
    """A kind of problem, for the API's description."""

    status: int
    type: str
    code: str | None
    meaning: str


def known_problems() -> tuple[KnownProblem, ...]:
    """Every status and code that an answer can have, the lowest status first."""
    ours = [
        KnownProblem(row.status, row.type, row.code, (kind.__doc__ or "").partition("\n")[0]) for kind, row in _TABLE.items()
    ]
    others = [KnownProblem(status, kind, code, _phrase(status)) for status, (kind, code) in _HTTP.items()]
    first: dict[tuple[int, str | None], KnownProblem] = {}
    for problem in (*ours, *others):
        if problem.code is not None:
            first.setdefault((problem.status, problem.code), problem)
    return tuple(sorted(first.values(), key=lambda problem: problem.status))


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Client Closed Request"


def problem_of(error: errors.AppError) -> Problem:
    """The narrowest row that fits the error."""
    row = next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)
    headers = row.headers
    if isinstance(error, errors.EngineBusy):
        headers = (("retry-after", str(max(1, math.ceil(error.retry_after_s)))),)
    param = error.param if isinstance(error, errors.RequestError) else row.param
    return Problem(row.status, str(error), row.type, row.code, param, headers)
