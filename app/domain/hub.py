"""Looking for models on the hub."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from app.domain.models import Capability

__all__ = ["HubModel", "HubPage", "HubQuery", "HubSort"]


class HubSort(enum.StrEnum):
    TRENDING = "trending"
    DOWNLOADS = "downloads"
    LIKES = "likes"
    UPDATED = "updated"
    CREATED = "created"


@dataclass(frozen=True, slots=True)
class HubQuery:
    """What to look for. Every filter narrows; 0, "" and empty ones leave all.

    `most_parameters` and `least_parameters` bound the size; `licenses` are as the hub writes them (`apache-2.0`). `cursor` is
    `HubPage.next` of the page before.
    """

    text: str = ""
    sort: HubSort = HubSort.TRENDING
    capabilities: frozenset[Capability] = frozenset()
    licenses: frozenset[str] = frozenset()
    author: str = ""
    least_parameters: int = 0
    most_parameters: int = 0
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class HubModel:
    """One hit: a repository with GGUF files, as the hub's list describes it. 0, "" and None where it does not say."""

    id: str
    downloads: int = 0
    likes: int = 0
    updated: datetime | None = None
    gated: bool = False
    license: str = ""
    architecture: str = ""
    parameters: int = 0
    n_ctx_train: int = 0
    capabilities: frozenset[Capability] = frozenset()


@dataclass(frozen=True, slots=True)
class HubPage:
    """Hits in order. `next` is "" on the last page."""

    models: tuple[HubModel, ...]
    next: str = ""
