"""How models are listed for clients of Anthropic's API."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any

from pydantic import Field

from app.domain.errors import InvalidRequest
from app.domain.models import Capability, ModelState
from app.server.wire.base import Part
from app.service.descriptions import ModelDescription

__all__ = ["PageQuery", "model_info", "model_page"]

_NO = {"supported": False}


class PageQuery(Part):
    """Which part of the list is asked for."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 20
    after_id: str | None = None
    before_id: str | None = None


def model_page(models: Sequence[dict[str, Any]], query: PageQuery) -> dict[str, Any]:
    """Raises InvalidRequest for an id that is not in the list."""
    ids = [model["id"] for model in models]
    if query.after_id and query.before_id:
        raise InvalidRequest("Give 'after_id' or 'before_id', not both.", param="before_id")
    if query.before_id:
        end = _position(ids, query.before_id, "before_id")
        first = max(0, end - query.limit)
        page, has_more = models[first:end], first > 0
    else:
        first = _position(ids, query.after_id, "after_id") + 1 if query.after_id else 0
        page, has_more = models[first : first + query.limit], first + query.limit < len(models)
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"data": list(page), "has_more": has_more, **ends}


def model_info(described: ModelDescription) -> dict[str, Any]:
    model, loaded = described.model, described.loaded
    n_ctx = (loaded.n_ctx if loaded.state is ModelState.READY else 0) or model.n_ctx_train or None
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": model.modified.isoformat(),
        "lifecycle": "active",
        "line": None,
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": n_ctx,
        "max_tokens": n_ctx,
        "capabilities": _capabilities(described.capabilities),
    }


def _position(ids: list[str], wanted: str, param: str) -> int:
    if wanted not in ids:
        raise InvalidRequest(f"'{param}' names '{wanted[:100]}', which is not in the list of models.", param=param)
    return ids.index(wanted)


def _capabilities(known: Collection[Capability]) -> dict[str, Any]:
    writes = {"supported": Capability.CHAT in known}
    thinks = {"supported": Capability.REASONING in known}
    kinds = {"adaptive": writes, "enabled": writes, "disabled": writes, "between_tools": _NO}
    return {
        "batch": _NO,
        "citations": _NO,
        "code_execution": _NO,
        "context_management": _NO,
        "effort": {**thinks, **dict.fromkeys(("low", "medium", "high", "xhigh", "max"), thinks)},
        "image_input": {"supported": Capability.VISION in known},
        "pdf_input": _NO,
        "server_tools": {**_NO, "code_execution": _NO, "web_search": _NO},
        "structured_outputs": writes,
        "thinking": {**thinks, "types": kinds},
    }
