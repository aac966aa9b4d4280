"""Which shape an error has on its way out: OpenAI's, or to clients of Anthropic's API Anthropic's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import Scope

from app.server.errors import Problem

__all__ = ["anthropic_error", "error_response", "identify", "speaks_anthropic"]

_REQUEST_ID = "hearth.request_id"
_MESSAGES = "/v1/messages"
_TYPES: Mapping[int, str] = MappingProxyType(
    {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        408: "timeout_error",
        413: "request_too_large",
        429: "rate_limit_error",
        503: "overloaded_error",
    }
)
# Where a field is refused: this tells Anthropic's client to send the whole conversation instead.
_DETAILS: Mapping[str | None, dict[str, str]] = MappingProxyType({"thread": {"error_code": "thread_unsupported_request"}})


def speaks_anthropic(scope: Scope) -> bool:
    """Whether a request, whatever its path leads to, comes from a client of Anthropic's API."""
    path: str = scope["path"]
    return path == _MESSAGES or path.startswith(f"{_MESSAGES}/") or "anthropic-version" in Headers(scope=scope)


def identify(scope: Scope, request_id: str) -> dict[str, str]:
    """Give a request its id. Returns the headers that tell it with every answer."""
    scope[_REQUEST_ID] = request_id
    return {"x-request-id": request_id, **({"request-id": request_id} if speaks_anthropic(scope) else {})}


def error_response(scope: Scope, problem: Problem) -> JSONResponse:
    """The request must have been identified."""
    body = anthropic_error(problem, scope[_REQUEST_ID]) if speaks_anthropic(scope) else problem.body()
    return JSONResponse(body, problem.status, dict(problem.headers))


def anthropic_error(problem: Problem, request_id: str) -> dict[str, Any]:
    """Its place in the request is told in the message: there is no field for it."""
    kind = _TYPES.get(problem.status, "api_error" if problem.status >= 500 else "invalid_request_error")
    told = not problem.param or problem.param in problem.message
    message = problem.message if told else f"{problem.param}: {problem.message}"
    details = _DETAILS.get(problem.param) if problem.code == "unsupported_parameter" else None
    error = {"type": kind, "message": message, **({"details": details} if details else {})}
    return {"type": "error", "error": error, "request_id": request_id}
