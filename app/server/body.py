"""Reading what a request asks: its body, within limits, as JSON, and its query; with errors that name the field."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request

from app.domain.errors import InvalidRequest

__all__ = ["MAX_BODY_BYTES", "MAX_VALUES", "Pace", "body_chunks", "explained", "read_body", "read_query"]

MAX_BODY_BYTES = 64 * 1024 * 1024
# More than the tokens that /detokenize takes. Each costs about a microsecond, and nothing else is done meanwhile.
MAX_VALUES = 1_500_000
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)

Wire = TypeVar("Wire", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Pace:
    """How slowly a body may come: never `idle_s` without anything, and in all the time it takes at `bytes_per_s`, and
    `grace_s`. One byte now and then does not hold a connection."""

    idle_s: float = 30.0
    grace_s: float = 30.0
    bytes_per_s: float = 16 * 1024

    def patience_s(self, *, elapsed_s: float, size: int) -> float:
        """How long to wait for what comes next, with `size` bytes after `elapsed_s`."""
        return min(self.idle_s, self.grace_s + size / self.bytes_per_s - elapsed_s)


async def read_body(request: Request, model: type[Wire]) -> Wire:
    """The request's JSON as `model`, whatever its content type says.

    Raises InvalidRequest, and HTTPException for a body that is too large, too slow or packed.
    """
    body = b"".join([chunk async for chunk in body_chunks(request)])
    if _most_values(body) > MAX_VALUES and _most_values(_STRING.sub(b"", body)) > MAX_VALUES:
        raise InvalidRequest(f"The request's body has more than {MAX_VALUES:,} values. Send fewer.")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True)
        if details[0]["type"] == "json_invalid":
            raise InvalidRequest(f"The request's body is not valid JSON: {_reason(details[0])}") from error
        raise explained(details, from_json(body)) from error


def read_query(request: Request, model: type[Wire]) -> Wire:
    """What stands behind the path's "?", as `model`. Raises InvalidRequest."""
    given = dict(request.query_params)
    try:
        return model.model_validate_strings(given)
    except ValidationError as error:
        raise explained(error.errors(include_url=False, include_context=True), given) from error


async def body_chunks(request: Request) -> AsyncGenerator[bytes, None]:
    """The body as it arrives. Raises HTTPException for one that is too large, too slow or packed."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise HTTPException(415, f"Send the body without Content-Encoding, not as '{encoding[:50]}'.")
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
        raise _too_large()
    size = 0
    stream = request.stream()
    pace, begun = Pace(), time.monotonic()
    try:
        while True:
            async with asyncio.timeout(pace.patience_s(elapsed_s=time.monotonic() - begun, size=size)):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise _too_large()
            yield chunk
    except TimeoutError as error:
        raise HTTPException(408, "The request's body arrived too slowly.") from error


def _most_values(json: bytes) -> int:
    """How many values it can have, if what stands in its strings counts too."""
    return 1 + sum(json.count(sign) for sign in (b",", b"[", b"{"))


def _too_large() -> HTTPException:
    limit = MAX_BODY_BYTES // (1024 * 1024)
    return HTTPException(413, f"The request's body is larger than {limit} MiB. Send smaller or fewer pictures or sounds.")


def explained(details: Sequence[ErrorDetails], payload: Any) -> InvalidRequest:
    """Name one field: of a union's complaints the one that reached deepest into what was sent."""
    if not isinstance(payload, dict):
        return InvalidRequest("The request's body must be a JSON object.")
    paths = [_path(detail["loc"], payload, missing=detail["type"] == "missing") for detail in details]
    deepest = max(range(len(paths)), key=lambda index: len(paths[index]))
    param = _param(paths[deepest])
    return InvalidRequest(_sentence(details[deepest], param), param=param)


def _reason(detail: ErrorDetails) -> str:
    return str(detail.get("ctx", {}).get("error", detail["msg"])) + "."


def _sentence(detail: ErrorDetails, param: str) -> str:
    if detail["type"] == "missing":
        return f"'{param}' is missing."
    shown = repr(detail["input"])
    shown = shown if len(shown) <= 80 else f"{shown[:77]}…"
    return f"Invalid value for '{param}': {detail['msg'][:1].lower()}{detail['msg'][1:]} (got {shown})."


def _path(location: Sequence[int | str], payload: Any, *, missing: bool) -> list[int | str]:
    """`location` without the union branches that pydantic puts between the fields: what can be followed through `payload`."""
    path: list[int | str] = []
    here = payload
    for index, step in enumerate(location):
        follows_list = isinstance(here, list) and isinstance(step, int) and step < len(here)
        if follows_list or (isinstance(here, dict) and step in here):
            here = here[step]
            path.append(step)
        elif missing and index == len(location) - 1:
            path.append(step)
    return path


def _param(path: Sequence[int | str]) -> str:
    """`messages[0].content[1].text`"""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")
