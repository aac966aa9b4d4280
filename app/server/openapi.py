"""The OpenAPI document of the server, made from the wire models themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.server.wire.anthropic.body import CountBody, MessageBody
from app.server.wire.chat import ChatBody
from app.server.wire.completions import CompletionBody
from app.server.wire.embeddings import EmbeddingBody
from app.server.wire.rerank import RerankBody
from app.server.wire.tokens import DetokenizeBody, TokenizeBody

__all__ = ["openapi_document"]

_POSTS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("/v1/chat/completions", "Answer a conversation", ChatBody),
    ("/v1/completions", "Continue a text", CompletionBody),
    ("/v1/messages", "Answer a conversation, in Anthropic's way", MessageBody),
    ("/v1/messages/count_tokens", "Count what a conversation takes of the context", CountBody),
    ("/v1/embeddings", "Turn texts into vectors", EmbeddingBody),
    ("/v1/rerank", "Order documents by how well they answer a query", RerankBody),
    ("/tokenize", "Turn a text into token ids", TokenizeBody),
    ("/detokenize", "Turn token ids into a text", DetokenizeBody),
)
_GETS = (
    ("/v1/models", "List the installed models"),
    ("/v1/models/{model_id}", "Look at one model"),
    ("/health", "Whether the server answers"),
)
_STREAMS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/messages"})

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_ANTHROPIC_ERROR = {
    "type": "object",
    "required": ["type", "error", "request_id"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}, "details": {"type": "object"}},
        },
        "request_id": {"type": "string"},
    },
}


def openapi_document(version: str) -> dict[str, Any]:
    _, schemas = models_json_schema(
        [(model, "validation") for _, _, model in _POSTS], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, Any] = {path: {"post": _post(path, summary, model)} for path, summary, model in _POSTS}
    paths |= {path: {"get": _get(path, summary)} for path, summary in _GETS}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hearth", "version": version, "description": "OpenAI-compatible API for models on this computer."},
        "paths": paths,
        "components": {
            "schemas": {**schemas.get("$defs", {}), "Error": _ERROR, "AnthropicError": _ANTHROPIC_ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _post(path: str, summary: str, model: type[BaseModel]) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if path in _STREAMS:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    body = {"required": True, "content": {"application/json": {"schema": _ref(model.__name__)}}}
    return {"summary": summary, "requestBody": body, "responses": _responses(content, path)}


def _get(path: str, summary: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": _responses({"application/json": {"schema": {"type": "object"}}}, path),
    }
    if "{model_id}" in path:
        parameter = {"name": "model_id", "in": "path", "required": True, "schema": {"type": "string"}}
        operation["parameters"] = [parameter]
    return operation


def _responses(content: Mapping[str, Any], path: str) -> dict[str, Any]:
    shape = "AnthropicError" if path.startswith("/v1/messages") else "Error"
    problem = {"description": "An error", "content": {"application/json": {"schema": _ref(shape)}}}
    return {"200": {"description": "The answer", "content": dict(content)}, "4XX": problem, "5XX": problem}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
