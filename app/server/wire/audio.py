"""The form of POST /v1/audio/transcriptions and /v1/audio/translations, and their answers, whole or as they grow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.generation import (
    ChatRequest,
    Effort,
    Finished,
    GenerationEvent,
    ReasoningChoice,
    SamplingChoice,
    TextDelta,
    TokenLogprob,
    Usage,
)
from app.domain.messages import AudioPart, Message, Role, TextPart
from app.engine.sounds import read_sound
from app.server.answers import Answer, Tally
from app.server.wire.base import LoadingFields
from app.server.wire.messages import MAX_AUDIO_BYTES
from app.server.wire.reply import DONE, DataFrames, encode, logprob_entry

__all__ = ["Task", "TranscriptFrames", "TranscriptionBody", "sound_seconds", "transcript", "transcription_request"]

Task = Literal["transcribe", "translate"]

_ASKED: dict[Task, str] = {
    "transcribe": "Write down, word for word, what is said in this recording{of}. Answer with these words alone.",
    "translate": "Say in English what is said in this recording{of}. Answer with the translation alone.",
}


class TranscriptionBody(LoadingFields):
    """The fields beside `file`, a WAV, MP3 or FLAC. What a form holds is text, so values are converted."""

    model_config = ConfigDict(strict=False)

    language: (
        Annotated[str, Field(max_length=40, pattern=r"^[A-Za-z][A-Za-z -]*$", description="Code or English name.")] | None
    ) = None
    prompt: Annotated[str, Field(max_length=10_000, description="What came before, or words to expect.")] | None = None
    response_format: Literal["json", "text", "verbose_json", "srt", "vtt", "diarized_json"] = "json"
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0
    stream: bool = False
    include: tuple[Literal["logprobs"], ...] = ()

    @property
    def wants_logprobs(self) -> bool:
        return "logprobs" in self.include


def sound_seconds(sound: bytes) -> float:
    """Raises InvalidRequest for what is no sound, or too much of it."""
    if len(sound) > MAX_AUDIO_BYTES:
        raise InvalidRequest(f"A sound can have at most {MAX_AUDIO_BYTES // (1024 * 1024)} MiB.", param="file")
    return read_sound(sound, param="file").seconds


def transcription_request(task: Task, body: TranscriptionBody, sound: bytes) -> ChatRequest:
    """The question to a model that hears. Raises UnsupportedParameter and InvalidRequest."""
    _check(body)
    asked = _ASKED[task].format(of=f", which is in the language '{body.language}'" if body.language else "")
    if body.prompt:
        asked += f" These words came before, or may occur: {body.prompt}"
    return ChatRequest(
        model=body.model,
        messages=(Message(Role.USER, (AudioPart(sound), TextPart(asked))),),
        sampling=SamplingChoice(temperature=body.temperature),
        reasoning=ReasoningChoice(Effort.NONE),
        top_logprobs=0 if body.wants_logprobs else None,
        # It would answer what it hears.
        takes_system_prompt=False,
        keep_alive_s=body.kept_alive_s,
        n_ctx=body.wanted_ctx,
    )


def _check(body: TranscriptionBody) -> None:
    form = body.response_format
    if form in {"srt", "vtt"}:
        raise UnsupportedParameter(
            "Subtitles need times, and the models that Hearth runs don't say when a word was spoken. Use json or text.",
            param="response_format",
        )
    if form == "diarized_json":
        raise UnsupportedParameter("Hearth does not tell speakers apart. Use json or text.", param="response_format")
    if body.wants_logprobs and form != "json":
        raise InvalidRequest("Log probabilities come with response_format json alone.", param="include")
    if body.stream and form == "verbose_json":
        raise InvalidRequest("A stream has no response_format verbose_json. Use json or text.", param="response_format")


def transcript(task: Task, body: TranscriptionBody, seconds: float, answer: Answer, tally: Tally) -> dict[str, Any] | str:
    """The answer: a text where that is asked for, else the body of a JSON one."""
    text = "".join(answer.text).strip()
    match body.response_format:
        case "text":
            return f"{text}\n"
        case "verbose_json":
            language = "english" if task == "translate" else body.language or "unknown"
            usage = {"type": "duration", "seconds": round(seconds, 3)}
            return {"task": task, "language": language, "duration": round(seconds, 3), "text": text, "usage": usage}
        case _:
            told = {"logprobs": [logprob_entry(token) for token in answer.logprobs]} if body.wants_logprobs else {}
            return {"text": text, **told, "usage": _usage(tally.usage)}


class TranscriptFrames(DataFrames):
    """The transcript as it grows. White space at its beginning and end is left out, as in a whole one."""

    def __init__(self, *, logprobs: bool) -> None:
        self._with_logprobs = logprobs
        self._text = ""
        self._held = ""
        self._logprobs: list[TokenLogprob] = []

    def opening(self) -> bytes:
        return b""

    def event(self, index: int, event: GenerationEvent) -> bytes:
        match event:
            case TextDelta(text, logprobs):
                return self._delta(text, logprobs)
            case Finished():
                done = {"type": "transcript.text.done", "text": self._text, **self._told(self._logprobs)}
                return _frame({**done, "usage": _usage(event.usage)})
            case _:
                return b""

    def closing(self, tally: Tally) -> bytes:
        return DONE

    def _delta(self, text: str, logprobs: Sequence[TokenLogprob]) -> bytes:
        self._logprobs.extend(logprobs)
        waiting = self._held + text
        said = waiting.rstrip() if self._text else waiting.strip()
        self._held = waiting[len(waiting.rstrip()) :] if said or self._text else ""
        self._text += said
        if not said and not (logprobs and self._with_logprobs):
            return b""
        return _frame({"type": "transcript.text.delta", "delta": said, **self._told(logprobs)})

    def _told(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
        return {"logprobs": [logprob_entry(token) for token in tokens]} if self._with_logprobs else {}


def _frame(event: dict[str, Any]) -> bytes:
    return f"data: {encode(event)}\n\n".encode()


def _usage(usage: Usage) -> dict[str, Any]:
    total = usage.prompt_tokens + usage.completion_tokens
    return {
        "type": "tokens",
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": total,
    }
