"""The bodies of POST /tokenize and /detokenize."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.domain.prompt import ControlText, PlainText, PromptSegment
from app.server.wire.base import TokenId, WireRequest

__all__ = ["DetokenizeBody", "TokenizeBody", "segments"]


class TokenizeBody(WireRequest):
    """With `parse_special`, control tokens spelled out in `content` become control tokens."""

    content: str
    add_special: bool = False
    parse_special: bool = True


class DetokenizeBody(WireRequest):
    tokens: Annotated[list[TokenId], Field(max_length=1_000_000)]


def segments(body: TokenizeBody) -> tuple[PromptSegment, ...]:
    return (ControlText(body.content) if body.parse_special else PlainText(body.content),)
