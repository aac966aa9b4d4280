"""What the answers of all generating endpoints share."""

from __future__ import annotations

import json
import math
import time
import uuid
from dataclasses import dataclass
from typing import Any

from app.domain.generation import TokenLogprob, Usage

__all__ = ["ReplyHead", "encode", "finite", "logprob_entry", "usage_body"]

# JSON has no minus infinity; this is what OpenAI sends for a token that could not be.
_IMPOSSIBLE = -9999.0

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """What stays the same over all chunks of an answer. `model` is the name the client used."""

    id: str
    created: int
    model: str
    fingerprint: str

    @classmethod
    def of(cls, prefix: str, model: str, fingerprint: str) -> ReplyHead:
        """A new answer's; `prefix` such as "chatcmpl-"."""
        return cls(f"{prefix}{uuid.uuid4().hex}", int(time.time()), model, fingerprint)

    def body(self, kind: str) -> dict[str, Any]:
        """The fields that an answer, or a chunk of one, begins with."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def opened(self, kind: str, *, usage_null: bool) -> str:
        """The same as the beginning of a `data:` line, open for its choices."""
        usage = ',"usage":null' if usage_null else ""
        return f'data: {encode(self.body(kind))[:-1]}{usage},"choices":['


def usage_body(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else _IMPOSSIBLE


def logprob_entry(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.text, "logprob": finite(token.logprob), "bytes": list(token.raw)}
