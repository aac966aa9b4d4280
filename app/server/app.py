"""The HTTP application: routes, errors and checks joined together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import metadata

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from app.domain.errors import AppError
from app.library.library import ModelLibrary
from app.server.error_shape import error_response
from app.server.errors import Problem, http_problem, problem_of
from app.server.guard import AccessPolicy, Guard
from app.server.metrics import Metrics
from app.server.openapi import openapi_document
from app.server.recording import Recorder, track_of
from app.server.response_runs import ResponseRuns
from app.server.response_store import ResponseStore
from app.server.routes.audio import audio_routes
from app.server.routes.embeddings import embedding_routes
from app.server.routes.generation import generation_routes
from app.server.routes.messages import message_routes
from app.server.routes.models import model_routes
from app.server.routes.responses import response_routes
from app.server.routes.stored_responses import stored_response_routes
from app.server.routes.tokens import token_routes
from app.server.turns import Turns
from app.service.activity import Activity
from app.service.api_keys import ApiKeys
from app.service.chat import ChatService
from app.service.descriptions import ModelDescriptions
from app.service.embeddings import EmbeddingService
from app.service.models import ModelManager
from app.service.refusals import Refusals

__all__ = ["create_app"]


def create_app(
    *,
    chat: ChatService,
    embeddings: EmbeddingService,
    models: ModelManager,
    library: ModelLibrary,
    activity: Activity,
    runs: ResponseRuns,
    policy: Callable[[], AccessPolicy],
    keys: ApiKeys,
    refusals: Refusals,
) -> FastAPI:
    """Nothing on this app downloads, deletes, or reads a path that a client names."""
    version = _version()
    # No documentation pages: they would load their scripts from the web.
    app = FastAPI(title="Hearth", version=version, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(generation_routes(chat, _fingerprint(version)))
    app.include_router(message_routes(chat))
    responses = ResponseStore()
    app.include_router(response_routes(chat, models, responses, runs))
    app.include_router(stored_response_routes(responses, runs))
    app.include_router(embedding_routes(embeddings))
    app.include_router(audio_routes(chat, models))
    app.include_router(model_routes(ModelDescriptions(library, models)))
    app.include_router(token_routes(chat, models))
    metrics = Metrics(lambda: models.loaded)
    _add_plain_routes(app, version, metrics)
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_left)
    # The last one added is the outermost.
    app.add_middleware(Turns)
    app.add_middleware(Guard, policy=policy, keys=keys, refusals=refusals)
    app.add_middleware(Recorder, activity=activity, metrics=metrics, library=library)
    return app


def _add_plain_routes(app: FastAPI, version: str, metrics: Metrics) -> None:
    document = openapi_document(version)

    @app.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    @app.api_route("/", methods=["GET", "HEAD"])
    @app.api_route("/v1", methods=["GET", "HEAD"])
    @app.api_route("/v1/", methods=["GET", "HEAD"])
    async def index() -> Response:
        return JSONResponse({"name": "Hearth", "version": version, "api": "/v1", "openapi": "/openapi.json"})

    @app.get("/metrics")
    async def prometheus(request: Request) -> Response:
        content, media_type = metrics.text(request.headers.get("accept", ""))
        return Response(content, media_type=media_type)

    @app.get("/openapi.json")
    async def openapi() -> Response:
        return JSONResponse(document)


async def _app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return _answer(request, problem_of(error))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message, headers = error.detail, dict(error.headers or {})
    if error.status_code == 404:
        message = f"There is nothing at {request.url.path[:200]}. The API is at /v1; /openapi.json lists it."
    elif error.status_code == 405:
        message = f"{request.url.path[:200]} does not take {request.method}."
        headers["Allow"] = ", ".join(_methods_at(request))
    return _answer(request, http_problem(error.status_code, message, headers=tuple(headers.items())))


def _methods_at(request: Request) -> list[str]:
    """Starlette names those of one route, of which a path may have several."""
    app: FastAPI = request.app
    scopes = {method: {**request.scope, "method": method} for method in ("GET", "HEAD", "POST", "DELETE")}
    return [
        method for method, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in app.router.routes)
    ]


async def _client_left(request: Request, _: Exception) -> Response:
    """Nobody reads this answer; it is for the record."""
    return _answer(request, http_problem(499, "The client left before the answer was finished."))


def _answer(request: Request, problem: Problem) -> Response:
    track_of(request).error = problem.message
    return error_response(request.scope, problem)


def _version() -> str:
    try:
        return metadata.version("hearth")
    except metadata.PackageNotFoundError:
        return "0"


def _fingerprint(version: str) -> str:
    """OpenAI's name for "the same program with the same settings"."""
    return f"fp_{hashlib.sha256(f'hearth {version}'.encode()).hexdigest()[:10]}"
