"""The API's own description, made from the table of endpoints and the wire models."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from app.server.endpoints import ENDPOINTS, Endpoint
from app.server.errors import known_problems
from app.server.wire import replies

__all__ = ["openapi_document"]

_JSON = "application/json"
_SSE = "text/event-stream; charset=utf-8"
_PARAMETER = re.compile(r"\{(\w+)\}")

_HEADERS: dict[str, tuple[str, str]] = {
    "x-request-id": ("string", "Names the request in Hearth's log."),
    "x-hearth-ignored": ("string", "Fields of the request that have no effect, with commas between."),
    "x-hearth-model": ("string", "The id of the model that answered."),
    "retry-after": ("integer", "Seconds after which to try again."),
    "x-should-retry": ("string", "false where the same request would fail again."),
    "www-authenticate": ("string", "How to send the API key."),
}
_HEADERS_OF: dict[int, tuple[str, ...]] = {
    200: ("x-hearth-ignored", "x-hearth-model"),
    400: ("x-should-retry",),
    401: ("www-authenticate",),
    429: ("retry-after",),
    500: ("x-should-retry",),
    503: ("retry-after",),
}


def openapi_document(version: str) -> dict[str, Any]:
    """OpenAPI 3.1."""
    schemas = _Schemas(ENDPOINTS)
    problems = {(endpoint.error, status) for endpoint in ENDPOINTS for status in endpoint.problems}
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        for path in (endpoint.path, *endpoint.aliases):
            paths.setdefault(path, {})[endpoint.method] = _operation(endpoint, path, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hearth", "version": version, "description": "OpenAI-compatible API for models on this computer."},
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "responses": dict(
                sorted((_problem_name(kind, status), _problem(kind, status, schemas)) for kind, status in problems)
            ),
            "headers": {
                name: {"description": text, "schema": {"type": kind}, "required": name == "x-request-id"}
                for name, (kind, text) in _HEADERS.items()
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{"bearer": []}, {"key": []}, {}],
    }


class _Schemas:
    """All schemas, each defined once."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        wanted: dict[str, tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = {}
        for endpoint in endpoints:
            for kind, mode in (
                (endpoint.body, "validation"),
                (endpoint.reply, "serialization"),
                (endpoint.event, "serialization"),
                (endpoint.error, "serialization"),
            ):
                if kind is not None:
                    wanted.setdefault(repr(kind), (repr(kind), mode, TypeAdapter(kind)))  # type: ignore[arg-type]
        found, rest = TypeAdapter.json_schemas(list(wanted.values()), ref_template="#/components/schemas/{model}")
        self.definitions: dict[str, Any] = rest.get("$defs", {})
        self._found = {key: schema for (key, _), schema in found.items()}

    def of(self, kind: Any) -> dict[str, Any]:
        """A reference, or a schema without a name."""
        return dict(self._found[repr(kind)])


def _operation(endpoint: Endpoint, path: str, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": endpoint.method + re.sub("[^a-zA-Z0-9]+", "_", path.rstrip("}")),
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.is_open:
        operation["security"] = []
    if parameters := [_parameter(name) for name in _PARAMETER.findall(path)]:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": _body(endpoint, schemas)}
    return operation


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _body(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    schema = schemas.of(endpoint.body)
    if not endpoint.takes_file:
        content: dict[str, Any] = {"schema": schema}
        if endpoint.example:
            content["example"] = dict(endpoint.example)
        return {_JSON: content}
    file = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
    return {"multipart/form-data": {"schema": {"allOf": [schema, file]}}}


def _responses(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if endpoint.reply is not None:
        content[_JSON] = {"schema": schemas.of(endpoint.reply)}
    for media_type in endpoint.text:
        content[media_type] = {"schema": {"type": "string"}}
    if endpoint.event is not None:
        content[_SSE] = {"schema": _event(endpoint, schemas)}
    answer = {"description": "The answer", "headers": _headers(200), "content": content}
    problems = {
        str(status): {"$ref": f"#/components/responses/{_problem_name(endpoint.error, status)}"}
        for status in sorted(endpoint.problems)
    }
    return {"200": answer, **problems}


def _event(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    """What one event of a stream is: the schema of all of a stream is beyond OpenAPI 3.1."""
    payload: dict[str, Any] = {
        "type": "string",
        "contentMediaType": _JSON,
        "contentSchema": {"anyOf": [schemas.of(endpoint.event), schemas.of(endpoint.error)]},
    }
    if endpoint.names_events:
        return {"type": "object", "required": ["event", "data"], "properties": {"event": {"type": "string"}, "data": payload}}
    data = {"anyOf": [{"const": "[DONE]"}, payload], "description": "[DONE] comes last, also after an Error."}
    return {"type": "object", "required": ["data"], "properties": {"data": data}}


def _problem_name(kind: Any, status: int) -> str:
    return f"{kind.__name__}{status}"


def _problem(kind: Any, status: int, schemas: _Schemas) -> dict[str, Any]:
    content = {_JSON: {"schema": schemas.of(kind)}}
    codes = [problem.code for problem in known_problems() if problem.status == status and problem.code]
    told = "An error, in Anthropic's words" if kind is replies.AnthropicError else f"An error; its code is {' or '.join(codes)}"
    return {"description": told, "headers": _headers(status), "content": content}


def _headers(status: int) -> dict[str, Any]:
    names = ("x-request-id", *_HEADERS_OF.get(status, ()))
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
