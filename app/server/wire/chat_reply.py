"""What POST /v1/chat/completions answers: whole, or chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.domain.generation import (
    Finished,
    GenerationEvent,
    PrefillProgress,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from app.server.answers import Answer, Tally
from app.server.wire.reply import (
    DONE,
    DataFrames,
    ReadingClock,
    ReplyHead,
    closing_fields,
    encode,
    logprob_entry,
    schema_error_field,
    timings_body,
    usage_body,
)

__all__ = ["ChatFrames", "chat_completion"]


def chat_completion(
    head: ReplyHead, answers: Sequence[Answer], tally: Tally, *, logprobs: bool, reasoning: bool = True
) -> dict[str, Any]:
    choices = [
        {
            "index": index,
            "message": _message(answer, reasoning=reasoning),
            "logprobs": _logprobs(answer.logprobs) if logprobs else None,
            "finish_reason": answer.reason.value,
            **schema_error_field(answer.schema_error),
        }
        for index, answer in enumerate(answers)
    ]
    return {**head.body("chat.completion"), "choices": choices, **closing_fields(tally)}


class ChatFrames(DataFrames):
    """Writes chunks from prepared text: what differs from token to token is put between two constant pieces."""

    def __init__(
        self, head: ReplyHead, *, choices: int, logprobs: bool, usage: bool, reasoning: bool = True, progress: bool = False
    ) -> None:
        self._usage = usage
        self._reading = ReadingClock() if progress else None
        self._reasoning = reasoning
        self._logprobs = logprobs
        self._base = head.opened("chat.completion.chunk", usage_null=usage)
        self._last = head.opened("chat.completion.chunk", usage_null=False)
        self._starts = [f'{self._base}{{"index":{index},"delta":' for index in range(choices)]

    def opening(self) -> bytes:
        return b"".join(
            self._frame(index, '{"role":"assistant","content":"","refusal":null}') for index in range(len(self._starts))
        )

    def event(self, index: int, event: GenerationEvent) -> bytes:
        match event:
            case TextDelta(text, logprobs):
                if not text and not (logprobs and self._logprobs):
                    return b""
                told = encode(_logprobs(logprobs)) if self._logprobs else "null"
                return self._frame(index, f'{{"content":{encode(text)}}}', logprobs=told)
            case ReasoningDelta(text):
                if not text or not self._reasoning:
                    return b""
                thought = encode(text)
                # Both names are in use.
                return self._frame(index, f'{{"reasoning_content":{thought},"reasoning":{thought}}}')
            case ToolCallStarted():
                call = {"index": event.index, "id": event.id, "type": "function"}
                return self._frame(index, encode({"tool_calls": [{**call, "function": {"name": event.name, "arguments": ""}}]}))
            case ToolArgumentsDelta():
                delta = {"index": event.index, "function": {"arguments": event.text}}
                return self._frame(index, encode({"tool_calls": [delta]}))
            case Finished():
                return self._end(index, event)
            case PrefillProgress():
                return self._progress(index, event) if self._reading is not None else b""

    def closing(self, tally: Tally) -> bytes:
        if not self._usage:
            return DONE
        return f'{self._last}],"usage":{encode(usage_body(tally.usage))}}}\n\n'.encode() + DONE

    def _end(self, index: int, finished: Finished) -> bytes:
        last = {"logprobs": None, "finish_reason": finished.reason.value, **schema_error_field(finished.schema_error)}
        timings = encode(timings_body(finished))
        return f'{self._starts[index]}{{}},{encode(last)[1:]}],"timings":{timings}}}\n\n'.encode()

    def _progress(self, index: int, progress: PrefillProgress) -> bytes:
        assert self._reading is not None
        choice = f'{self._starts[index]}{{}},"logprobs":null,"finish_reason":null}}]'
        return f"{choice}{self._reading.field(progress)}".encode()

    def _frame(self, index: int, delta: str, *, logprobs: str = "null") -> bytes:
        return f'{self._starts[index]}{delta},"logprobs":{logprobs},"finish_reason":null}}]}}\n\n'.encode()


def _message(answer: Answer, *, reasoning: bool) -> dict[str, Any]:
    text = "".join(answer.text)
    calls = answer.tool_calls
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
    if answer.reasoning and reasoning:
        message["reasoning_content"] = message["reasoning"] = "".join(answer.reasoning)
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in calls
        ]
    return message


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    content = [{**logprob_entry(token), "top_logprobs": [logprob_entry(other) for other in token.top]} for token in tokens]
    return {"content": content, "refusal": None}
