"""The response object: what POST /v1/responses answers, and what its stream begins and ends with."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from app.domain.generation import Effort, Usage
from app.server.answers import Tally
from app.server.errors import Problem
from app.server.wire.reply import schema_error_field, timings_body
from app.server.wire.responses.body import ResponseBody
from app.server.wire.responses.output import ResponseOutput
from app.server.wire.responses.tools import OfferedTools

__all__ = ["ResponseHead", "failed_body", "finished_body", "response_usage"]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response before there is an answer. `asked` is what it tells again of the request."""

    id: str
    created_at: int
    asked: Mapping[str, Any]

    @classmethod
    def of(cls, body: ResponseBody, tools: OfferedTools) -> ResponseHead:
        return cls(f"resp_{uuid.uuid4().hex}", int(time.time()), _asked(body, tools))

    def body(self, status: str, **told: Any) -> dict[str, Any]:
        """Every key is there, whether it is told or not."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "output": [],
            **self.asked,
            "usage": None,
            **told,
        }


def _asked(body: ResponseBody, tools: OfferedTools) -> dict[str, Any]:
    return {
        "background": bool(body.background),
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "metadata": body.metadata or {},
        "model": body.model,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": _reasoning(body),
        "safety_identifier": None,
        "service_tier": "default",
        "store": body.keeps,
        "temperature": body.temperature,
        "text": {"format": _text_format(body)},
        "tool_choice": "auto" if body.tool_choice is None else _dumped(body.tool_choice),
        "tools": list(tools.bodies),
        "top_logprobs": body.top_logprobs or 0,
        "top_p": body.top_p,
        "truncation": body.truncation or "disabled",
        "user": None,
    }


def _reasoning(body: ResponseBody) -> dict[str, Any]:
    effort, asked = body.reasoning_choice.effort, body.reasoning
    # OpenAI has no word for a model that is only told to think.
    named = None if effort in (None, Effort.ON) else effort
    return {"effort": named, "summary": (asked.summary or asked.generate_summary) if asked is not None else None}


def _text_format(body: ResponseBody) -> dict[str, Any]:
    wanted = body.text.format if body.text is not None else None
    if wanted is None or wanted.type != "json_schema":
        return {"type": "text" if wanted is None else wanted.type}
    told: dict[str, Any] = _dumped(wanted)
    return told


def _dumped(value: str | BaseModel) -> Any:
    return value if isinstance(value, str) else value.model_dump(mode="json", by_alias=True, exclude_none=True)


def finished_body(head: ResponseHead, output: ResponseOutput, tally: Tally) -> dict[str, Any]:
    status = "incomplete" if output.cut else "completed"
    return head.body(
        status,
        completed_at=None if output.cut else int(time.time()),
        incomplete_details={"reason": "max_output_tokens"} if output.cut else None,
        output=output.bodies(),
        usage=response_usage(tally.usage),
        **schema_error_field(output.schema_error),
        **({"timings": timings_body(tally.first)} if tally.first is not None else {}),
    )


def response_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def failed_body(head: ResponseHead, output: ResponseOutput, problem: Problem) -> dict[str, Any]:
    """With what had been said until then."""
    # OpenAI's words for it are few; an `error` event before has ours.
    code = "rate_limit_exceeded" if problem.status == 429 else "invalid_prompt" if problem.status < 500 else "server_error"
    return head.body("failed", error={"code": code, "message": problem.message}, output=output.bodies())
