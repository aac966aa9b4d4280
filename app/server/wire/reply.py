"""What the answers of all generating endpoints share."""

from __future__ import annotations

import json
import math
import time
import uuid
from dataclasses import dataclass
from typing import Any

from app.domain.generation import Finished, PrefillProgress, TokenLogprob, Usage
from app.server.answers import Tally
from app.server.errors import Problem

__all__ = [
    "DONE",
    "PING",
    "DataFrames",
    "ReadingClock",
    "ReplyHead",
    "closing_fields",
    "encode",
    "finite",
    "logprob_entry",
    "schema_error_field",
    "timings_body",
    "usage_body",
]

# JSON has no minus infinity; this is what OpenAI sends for a token that could not be.
_IMPOSSIBLE = -9999.0

DONE = b"data: [DONE]\n\n"
# A comment: proxies and clients would take the silence for a failure.
PING = b": still working\n\n"

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


class DataFrames:
    """What all streams of plain `data:` lines share."""

    def ping(self) -> bytes:
        return PING

    def failed(self, problem: Problem) -> bytes:
        return f"data: {encode(problem.body())}\n\n".encode() + DONE


class ReadingClock:
    """Tells how far a prompt has been read, and how long that has taken since the request came."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def field(self, progress: PrefillProgress) -> str:
        """The end of a chunk, under the names that llama.cpp's server gave."""
        passed = time.perf_counter() - self._started
        told = {"total": progress.total, "cache": progress.reused, "processed": progress.done, "time_ms": _ms(passed)}
        return f',"prompt_progress":{encode(told)}}}\n\n'


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


def timings_body(finished: Finished) -> dict[str, Any]:
    """How an answer went, under the names that llama.cpp's server gave: an extension that clients of local servers read."""
    usage, timings = finished.usage, finished.timings
    n_read = usage.prompt_tokens - usage.cached_tokens
    return {
        "queue_ms": _ms(timings.queue_s),
        "cache_n": usage.cached_tokens,
        "prompt_n": n_read,
        "prompt_ms": _ms(timings.prompt_s),
        "prompt_per_second": _rate(n_read, timings.prompt_s),
        "predicted_n": usage.completion_tokens,
        "predicted_ms": _ms(timings.generation_s),
        # The first token came with the prompt.
        "predicted_per_second": _rate(usage.completion_tokens - 1, timings.generation_s),
        "draft_n": usage.drafted_tokens,
        "draft_n_accepted": usage.accepted_tokens,
    }


def closing_fields(tally: Tally) -> dict[str, Any]:
    """What a whole answer ends with. Of several choices the one that finished first tells how it went."""
    timings = {"timings": timings_body(tally.first)} if tally.first is not None else {}
    return {"usage": usage_body(tally.usage), **timings}


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 3) if seconds > 0 and count > 0 else None


def schema_error_field(error: str | None) -> dict[str, str]:
    """What a choice says, as an extension, of an answer that fails its schema."""
    return {} if error is None else {"schema_error": error}


def finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else _IMPOSSIBLE


def logprob_entry(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.text, "logprob": finite(token.logprob), "bytes": list(token.raw)}
