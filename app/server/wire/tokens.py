"""The bodies of POST /tokenize, /detokenize and /apply-template, and their answers, as llama-server and vLLM write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from app.domain.errors import InvalidRequest
from app.domain.generation import ChatRequest
from app.domain.prompt import ControlText, Picture, PlainText, PromptSegment, Sound, TokenIds
from app.server.wire.base import Items, TokenId, WireRequest
from app.server.wire.conversation import ConversationFields, conversation
from app.server.wire.messages import WireMessage

__all__ = ["DetokenizeBody", "TokenizeBody", "prompt_text", "text_segments", "token_list", "tokenize_request"]

# llama-server's word for the place of a picture or sound.
_MEDIA = "<__media__>"


class TokenizeBody(ConversationFields):
    """One of `content` (llama-server's), `prompt` and `messages` (vLLM's) says what.

    With `parse_special`, control tokens spelled out in a text become control tokens.
    """

    content: str | None = None
    prompt: str | None = None
    messages: Annotated[Items[WireMessage], Field(min_length=1, max_length=10_000)] | None = None
    add_special: Annotated[bool, Field(description="Whether the model's own beginning comes before a text.")] | None = None
    add_special_tokens: Annotated[bool, Field(description="The same; true unless the text is `content`.")] | None = None
    parse_special: bool = True
    with_pieces: Annotated[bool, Field(description="Answer with an object of id and piece for each token.")] | None = None
    return_token_strs: Annotated[bool, Field(description="Answer with the tokens' texts beside their ids.")] | None = None

    @property
    def adds_special(self) -> bool:
        given = self.add_special_tokens if self.add_special is None else self.add_special
        return self.content is None if given is None else given


class DetokenizeBody(WireRequest):
    tokens: Annotated[Items[TokenId], Field(max_length=1_000_000)]


def text_segments(body: TokenizeBody) -> tuple[PromptSegment, ...] | None:
    """The text that is to become tokens; None if `messages` are. Raises InvalidRequest unless one thing is given."""
    given = [name for name in ("content", "prompt", "messages") if getattr(body, name) is not None]
    if len(given) != 1:
        says = f"{' and '.join(given)} exclude one another" if given else "There is nothing to tokenize"
        raise InvalidRequest(f"{says}: send one of 'content', 'prompt' and 'messages'.", param=given[1] if given else "content")
    text = body.prompt if body.content is None else body.content
    if text is None:
        return None
    return (ControlText(text) if body.parse_special else PlainText(text),)


def tokenize_request(body: TokenizeBody) -> ChatRequest:
    """The conversation that is to become tokens."""
    return ChatRequest(model=body.model, **conversation(body, body.messages or []))


def token_list(ids: Sequence[int], pieces: Sequence[bytes] | None, *, body: TokenizeBody, n_ctx: int) -> dict[str, Any]:
    """`pieces` are the tokens' bytes, if they were asked for."""
    answer: dict[str, Any] = {"tokens": list(ids), "count": len(ids), "max_model_len": n_ctx}
    if pieces is not None and body.with_pieces:
        answer["tokens"] = [{"id": id, "piece": _piece(piece)} for id, piece in zip(ids, pieces, strict=True)]
    if pieces is not None and body.return_token_strs:
        answer["token_strs"] = [piece.decode("utf-8", "replace") for piece in pieces]
    return answer


def prompt_text(prompt: Sequence[PromptSegment]) -> str:
    """A prompt to look at: pictures and sounds are `<__media__>`."""
    texts = []
    for segment in prompt:
        match segment:
            case ControlText(text) | PlainText(text):
                texts.append(text)
            case Picture() | Sound():
                texts.append(_MEDIA)
            case TokenIds(ids):
                texts.append("".join(f"<{id}>" for id in ids))
    return "".join(texts)


def _piece(piece: bytes) -> str | list[int]:
    """A text, or where a token is part of a character its bytes."""
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError:
        return list(piece)
