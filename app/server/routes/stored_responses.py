"""What can be done with the responses that are kept: GET and DELETE /v1/responses/{id}, and what is below it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.server.response_runs import ResponseRuns, followed, replayed
from app.server.response_store import ResponseStore
from app.server.wire.responses.listing import input_item_list, starting_after

__all__ = ["stored_response_routes"]


def stored_response_routes(store: ResponseStore, runs: ResponseRuns) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/responses/{response_id}")
    async def retrieve_response(request: Request, response_id: str) -> Response:
        run = runs.get(response_id)
        stored = store.get(response_id)
        if request.query_params.get("stream", "").lower() != "true":
            return JSONResponse(stored.body if run is None else run.body)
        if not stored.body["background"]:
            raise UnsupportedParameter("Only a response made in the background can be streamed again.", param="stream")
        after = starting_after(request.query_params.get("starting_after"))
        return followed(replayed(stored.events[after + 1 :]) if run is None else run.follow(after))

    @router.delete("/v1/responses/{response_id}")
    async def delete_response(response_id: str) -> Response:
        store.get(response_id)
        await runs.cancel(response_id)
        store.delete(response_id)
        return JSONResponse({"id": response_id, "object": "response", "deleted": True})

    @router.post("/v1/responses/{response_id}/cancel")
    async def cancel_response(response_id: str) -> Response:
        """One that has ended stays as it is. One that is not in the background is ended by closing its connection."""
        if not store.get(response_id).body["background"]:
            raise InvalidRequest("Only a response made in the background can be cancelled.")
        await runs.cancel(response_id)
        return JSONResponse(store.get(response_id).body)

    @router.get("/v1/responses/{response_id}/input_items")
    async def list_input_items(request: Request, response_id: str) -> Response:
        return JSONResponse(input_item_list(store.get(response_id).input_items, request.query_params))

    return router
