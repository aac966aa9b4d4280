"""Asking the hub's list of models."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from huggingface_hub import HfApi, ModelInfo, get_session, hf_raise_for_status
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # public, though not to mypy

from app.domain.hub import HubModel, HubPage, HubQuery, HubSort
from app.domain.models import Capability
from app.library.hub_facts import hit_of

__all__ = ["search"]

_PAGE: Final = 30
# Where hits are sifted here: what is asked at once, what is enough, and how often at most to ask for one page.
_SIFTED_PAGE: Final = 100
_ENOUGH: Final = 20
_REQUESTS: Final = 4

_SORTS: Final = {
    HubSort.TRENDING: "trendingScore",
    HubSort.DOWNLOADS: "downloads",
    HubSort.LIKES: "likes",
    HubSort.UPDATED: "lastModified",
    HubSort.CREATED: "createdAt",
}
_EXPAND: Final = ("gguf", "downloads", "likes", "lastModified", "gated", "tags", "pipeline_tag")
# Tags that the hub can narrow by. It knows none for tools, reasoning and sound that can be relied on.
_TAGS: Final = {
    Capability.CHAT: "conversational",
    Capability.VISION: "image-text-to-text",
    Capability.EMBEDDING: "feature-extraction",
    Capability.RERANK: "text-ranking",
}


def search(api: HfApi, query: HubQuery) -> HubPage:
    """One page of what `query` asks for. Blocks."""
    models: list[HubModel] = []
    cursor = query.cursor
    for _ in range(_REQUESTS):
        found, cursor = _request(api, query, cursor)
        models += (model for model in found if _fits(model, query))
        if not cursor or len(models) >= (_ENOUGH if _is_sifted(query) else 1):
            break
    return HubPage(tuple(models), cursor)


def _request(api: HfApi, query: HubQuery, cursor: str) -> tuple[list[HubModel], str]:
    """The hits of one request, and the cursor of the next.

    `list_models` keeps the address of the next page to itself: the client below it is asked in its place. A mirror may pass on
    the address that the hub itself gave, so only what is asked is taken from it.
    """
    response = get_session().get(
        f"{api.endpoint}/api/models",
        params=parse_qs(cursor) if cursor else _parameters(query),
        headers=build_hf_headers(token=api.token, library_name=api.library_name),
    )
    hf_raise_for_status(response)
    items = response.json()
    if not isinstance(items, list):
        raise TypeError("The hub's list of models is none.")
    following = urlsplit(str(response.links.get("next", {}).get("url", ""))).query
    return [hit_of(ModelInfo(**{"siblings": None, **item})) for item in items], following  # type: ignore[no-untyped-call]


def _parameters(query: HubQuery) -> dict[str, Any]:
    filters = ["gguf", *(_TAGS[capability] for capability in sorted(query.capabilities) if capability in _TAGS)]
    if len(query.licenses) == 1:
        filters += (f"license:{name}" for name in query.licenses)
    asked: dict[str, Any] = {
        "filter": filters,
        "sort": _SORTS[query.sort],
        "limit": _SIFTED_PAGE if _is_sifted(query) else _PAGE,
        "expand": list(_EXPAND),
    }
    if query.text.strip():
        asked["search"] = query.text.strip()
    if query.author.strip():
        asked["author"] = query.author.strip()
    return asked


def _is_sifted(query: HubQuery) -> bool:
    """Whether some of what the hub finds may not be wanted. That its filter by size knows GGUF files is documented nowhere."""
    unknown = query.capabilities - set(_TAGS)
    return bool(unknown or len(query.licenses) > 1 or query.least_parameters or query.most_parameters)


def _fits(model: HubModel, query: HubQuery) -> bool:
    if not query.capabilities <= model.capabilities or (query.licenses and model.license not in query.licenses):
        return False
    if not (query.least_parameters or query.most_parameters):
        return True
    most = query.most_parameters or float("inf")
    return bool(model.parameters) and query.least_parameters <= model.parameters <= most
