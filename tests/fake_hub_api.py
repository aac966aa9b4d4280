"""What the fake hub tells of its repositories: the hub's own JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

__all__ = ["HubFacts", "described", "page_of", "searched"]

_KEYS: Final = {"trendingScore": "trending", "downloads": "downloads", "likes": "likes", "lastModified": "updated"}


@dataclass(frozen=True, slots=True)
class HubFacts:
    """What stands in a repository's card, what people made of it, and what the hub read off its first GGUF file."""

    license: str = "apache-2.0"
    downloads: int = 1234
    likes: int = 5
    trending: int = 0
    updated: str = "2026-01-02T03:04:05.000Z"
    tags: tuple[str, ...] = ()
    pipeline_tag: str = ""
    base_model: str = ""
    gguf: Mapping[str, Any] = field(default_factory=dict)

    @property
    def all_tags(self) -> list[str]:
        bases = [f"base_model:{self.base_model}", f"base_model:quantized:{self.base_model}"] if self.base_model else []
        return ["gguf", *([self.pipeline_tag] if self.pipeline_tag else []), *self.tags, f"license:{self.license}", *bases]


def described(name: str, commit: str, facts: HubFacts, *, gated: bool, private: bool) -> dict[str, Any]:
    """A repository without its files."""
    told: dict[str, Any] = {
        "_id": hashlib.sha1(name.encode()).hexdigest()[:24],
        "id": name,
        "modelId": name,
        "sha": commit,
        "private": private,
        "gated": "manual" if gated else False,
        "downloads": facts.downloads,
        "likes": facts.likes,
        "trendingScore": facts.trending,
        "lastModified": facts.updated,
        "createdAt": facts.updated,
        "tags": facts.all_tags,
        "cardData": {"license": facts.license},
    }
    if facts.pipeline_tag:
        told["pipeline_tag"] = facts.pipeline_tag
    if facts.gguf:
        told["gguf"] = dict(facts.gguf)
    return told


def searched(
    repositories: Iterable[tuple[dict[str, Any], HubFacts]], query: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Those that fit, in order, with what was asked for."""
    wanted = set(query.get("filter", ()))
    words = query.get("search", [""])[0].casefold().split()
    author = query.get("author", [""])[0]
    key = _KEYS.get(query.get("sort", [""])[0], "trending")
    fitting = [
        (told, facts)
        for told, facts in repositories
        if wanted <= {*facts.all_tags}
        and all(word in told["id"].casefold() for word in words)
        and (not author or told["id"].startswith(f"{author}/"))
    ]
    fitting.sort(key=lambda item: getattr(item[1], key), reverse=True)
    always = {"_id", "id", "modelId"}
    expand = {*query.get("expand", ())}
    return [{name: value for name, value in told.items() if not expand or name in always | expand} for told, _ in fitting]


def page_of(items: list[dict[str, Any]], query: Mapping[str, Sequence[str]], address: str) -> tuple[list[dict[str, Any]], str]:
    """As many as were asked for from the cursor on, and the Link header to the next page, "" at the end."""
    start = int(query.get("cursor", ["0"])[0])
    end = start + int(query.get("limit", ["1000"])[0])
    if end >= len(items):
        return items[start:end], ""
    following = urlencode({**query, "cursor": str(end)}, doseq=True)
    return items[start:end], f'<{address}?{following}>; rel="next"'
