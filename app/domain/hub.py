"""The hub: looking for models on it, and how it is reached."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from app.domain.models import Capability

__all__ = ["HubModel", "HubPage", "HubQuery", "HubSort", "HubState", "HubTest", "HubToken", "TokenSource"]

# Of Q4_K_M, for each parameter.
_USUAL_BYTES: Final = 0.6


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

    @property
    def usual_size_bytes(self) -> int:
        """About what a file of the most usual quantization, Q4_K_M, takes; 0 where it can't be told."""
        return round(self.parameters * _USUAL_BYTES)


@dataclass(frozen=True, slots=True)
class HubPage:
    """Hits in order. `next` is "" on the last page."""

    models: tuple[HubModel, ...]
    next: str = ""


class TokenSource(enum.StrEnum):
    """Where an access token comes from: entered in Hearth and kept in the system's keyring or, where there is none, in a file
    that nobody else may read; HF_TOKEN; what Hugging Face's own tools have saved; or whoever started this."""

    KEYRING = "keyring"
    FILE = "file"
    ENVIRONMENT = "environment"
    HUGGING_FACE = "hugging-face"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class HubToken:
    value: str = field(repr=False)
    source: TokenSource


class HubState(enum.StrEnum):
    """NOT_A_HUB: something answers, such as a login page. TOKEN_REFUSED: reachable, but not with this token."""

    OK = "ok"
    OFFLINE = "offline"
    UNREACHABLE = "unreachable"
    NOT_A_HUB = "not-a-hub"
    BUSY = "busy"
    TOKEN_REFUSED = "token-refused"


@dataclass(frozen=True, slots=True)
class HubTest:
    """What a test of the connection found.

    `latency_s` is what one request took, 0 where none was answered. `token` is where the token comes from that is sent to this
    endpoint, None if none is; `user` whose it is, "" where the hub does not say. `proxy` has no password in it. `reason` is a
    sentence, "" if all is well.
    """

    endpoint: str
    state: HubState
    latency_s: float = 0.0
    token: TokenSource | None = None
    user: str = ""
    proxy: str = ""
    reason: str = ""
